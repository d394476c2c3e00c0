"""The detections of images, read and merged once for all questions that this process is asked about them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.boxes import Clusters, weighted_boxes_fusion
from kit.inference.instance_fusion import best_of_views, calibrated, require_detections
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.instance_windows import joined
from kit.inference.store import CodedDetections, load_detections
from kit.local.masks import boxes
from kit.masks import mask_set
from kit.predictions import Instances
from kit.typed_json import from_plain
from train_local.ensemble import near_boxes
from train_local.ensemble.scores import Assigned
from train_local.ensemble.trial import RecipeView

Integers = NDArray[np.int64]

MOST_BYTES = 256 << 20
"""Of kept images in each process. One with 2,000 detections has about 1 MB after a search."""
_KEPT_CLUSTERS = 1500
"""Of each image; one has about 400 bytes."""
_KEPT_GROUPINGS = 2
"""Of each image: questions that differ in what is done with masks alone follow each other."""

ClusterKey = tuple[tuple[int, ...], tuple[int, ...], int, tuple[int, ...], str]
Truths = tuple[int, tuple[tuple[int, float], ...]]
"""Pixels of a fused mask, and its IoU with each true instance that it may be matched with."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out image with what was predicted for it.

    Attributes:
        truth: of the image.
        found: recipe view -> the member that held the image out, and its stored detections.
    """

    truth: Instances
    found: Mapping[RecipeView, tuple[Member, Path]]


@dataclass(frozen=True)
class Part:
    """What one member gives to a fusion.

    Attributes:
        detections: its views merged, scores calibrated.
        numbers: (n,) of the detections among all of the image's.
        weight: of the member.
    """

    detections: CodedDetections
    numbers: Integers
    weight: float


class KeptImage:
    """One image, its truth and detections.

    Args:
        image_id: of the image.
        image: its truth and the files of its detections, which do not change.

    Attributes:
        truth: of the image.
        size: (height, width).
        true: the masks of the truth.
        true_boxes: their boxes, (m, 4) x1, y1, x2, y2.
        masks: of all detections that were read so far, compressed.
        inside: (row, column) of one pixel of each of these masks, (n, 2); (-1, -1) if it has none.
        clusters: what fused masks of clusters are, from earlier questions; see `cluster_judge`.
    """

    def __init__(self, image_id: str, image: HeldOut) -> None:
        self.image_id, self.truth = image_id, image.truth
        self.size = (image.truth.height, image.truth.width)
        self.true = mask_set.decode(image.truth.masks, *self.size, where=image_id)
        self.true_boxes = boxes.of_set(self.true, self.size[0])
        self.masks: list[bytes] = []
        self.inside: Integers = np.zeros((0, 2), np.int64)
        self.clusters: dict[ClusterKey, Truths] = {}
        self._found = image.found
        self._loaded: dict[Path, tuple[CodedDetections, int]] = {}
        self._merged: dict[tuple[Path, ...], tuple[CodedDetections, Integers]] = {}
        self._groupings: OrderedDict[tuple[object, ...], Clusters] = OrderedDict()
        self._bytes = sum(map(len, image.truth.masks))

    @property
    def nbytes(self) -> int:
        """About the memory that it takes."""
        return self._bytes + 400 * len(self.clusters)

    def parts(self, how: Assigned, settings: InstanceFusion) -> list[Part]:
        """Return what the members of a selection give; nothing if no recipe view of it held the image out.

        Raises:
            KitError: stored detections are missing, damaged or of another size than the image.
        """
        found: dict[str, tuple[Member, list[Path], list[float]]] = {}
        for recipe_view, weight in zip(how.selection.recipe_views, how.selection.weights, strict=True):
            if recipe_view in self._found:
                member, path = self._found[recipe_view]
                _, paths, weights = found.setdefault(member.name, (member, [], []))
                paths.append(path)
                weights.append(weight)
        parts = []
        for name, (member, paths, weights) in found.items():
            merged, numbers = self._merge(member, tuple(paths))
            weight = float(np.mean(weights))
            parts.append(Part(calibrated(merged, settings.calibration.get(name)), numbers, weight))
        return parts

    def grouped(self, parts: Sequence[Part], settings: InstanceFusion) -> Clusters:
        """Return the clusters of boxes that `kit.inference.instance_fusion.fuse_instances` finds."""
        key = (
            *((part.numbers.tobytes(), part.detections.scores.tobytes(), part.weight) for part in parts),
            (settings.iou, settings.skip_score, settings.confidence),
        )
        if key not in self._groupings:
            self._groupings[key] = weighted_boxes_fusion(
                [part.detections.boxes for part in parts],
                [part.detections.scores for part in parts],
                [part.weight for part in parts],
                iou=settings.iou,
                skip_score=settings.skip_score,
                confidence=settings.confidence,
                group=near_boxes.clusters,
            )
            if len(self._groupings) > _KEPT_GROUPINGS:
                self._groupings.popitem(last=False)
        return self._groupings[key]

    def forget_clusters(self) -> None:
        """Drop the older half of what is known of clusters if it is too much."""
        if len(self.clusters) > _KEPT_CLUSTERS:
            for key in list(self.clusters)[: -_KEPT_CLUSTERS // 2]:
                del self.clusters[key]

    def _merge(self, member: Member, paths: tuple[Path, ...]) -> tuple[CodedDetections, Integers]:
        if paths not in self._merged:
            views = [self._load(path) for path in paths]
            together = joined([view for view, _ in views])
            numbers = np.concatenate([np.arange(first, first + len(view.scores)) for view, first in views])
            if len(views) > 1:
                settings = from_plain(InstanceSettings, member.inference, where=member.name)
                best = best_of_views(together, settings)
                together, numbers = together.take(best), numbers[best]
            self._merged[paths] = together, numbers
            self._bytes += 56 * len(numbers)  # boxes, scores, numbers and references to masks
        return self._merged[paths]

    def _load(self, path: Path) -> tuple[CodedDetections, int]:
        if path not in self._loaded:
            found = load_detections(path)
            require_detections(found, path)
            if (found.height, found.width) != self.size:
                raise KitError(
                    f"the stored detections are of {found.height} x {found.width} pixels, the truth of their "
                    f"image {self.size[0]} x {self.size[1]}",
                    where=path,
                    fix="delete it and run the `train` command of this run again; it predicts anew",
                )
            self._loaded[path] = found, len(self.masks)
            self.masks += found.masks
            self.inside = np.concatenate([self.inside, _pixels_inside(found, path)])
            self._bytes += sum(map(len, found.masks)) + 120 * len(found.masks)
        return self._loaded[path]


def _pixels_inside(found: CodedDetections, path: Path) -> Integers:
    """Return row and column of a pixel in the middle of each mask's runs, (n, 2)."""
    runs = mask_set.decode(found.masks, found.height, found.width, where=path)
    bounds = np.searchsorted(runs.of, np.arange(runs.count + 1))
    pixels = np.full((runs.count, 2), -1, np.int64)
    some = np.flatnonzero(np.diff(bounds))
    middle = (bounds[:-1] + bounds[1:])[some] // 2
    column, row = np.divmod((runs.starts[middle] + runs.ends[middle]) // 2, found.height)
    pixels[some] = np.stack([row, column], axis=1)
    return pixels


_kept: OrderedDict[tuple[str, str], KeptImage] = OrderedDict()
"""Of the last owner of images that asked this process, those that it asked for last."""


def kept(owner: str, image_id: str, image: HeldOut, *, most_bytes: int = MOST_BYTES) -> KeptImage:
    """Return an image; the same object as before while there is room for it.

    Args:
        owner: of the images; another one's are dropped.
        image_id: of the image.
        image: its truth and files.
        most_bytes: of all images; one is kept, whatever its size.
    """
    if _kept and next(iter(_kept))[0] != owner:
        _kept.clear()
    key = (owner, image_id)
    found = _kept.get(key) or KeptImage(image_id, image)
    _kept[key] = found
    _kept.move_to_end(key)
    found.forget_clusters()
    size = sum(one.nbytes for one in _kept.values())
    while size > most_bytes and len(_kept) > 1:
        size -= _kept.popitem(last=False)[1].nbytes
    return found
