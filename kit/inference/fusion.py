"""Passes to one prediction: mean of probability maps, or detections merged over views and fused over members.

Needs no torch: the supervisor on Kaggle fuses while its workers predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.ensemble import Kind, Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.instance_fusion import calibrated, fuse_instances, merge_views, require_detections
from kit.inference.settings import InstanceFusion, InstanceSettings, SemanticFusion
from kit.inference.store import CodedDetections, LevelRows, levels_of, load_detections, open_map
from kit.masks import rle
from kit.predictions import Instances, Prediction, SemanticMask
from kit.typed_json import from_plain

_BAND_VALUES = 1 << 22
"""Pixels of the mean map that exist at once."""


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """The stored result of one pass over one image.

    Attributes:
        file: what `kit.inference.runner.run_pass` returned.
        weight: of this pass in the rung, positive.
        member: whose pass it is.
    """

    file: Path
    weight: float
    member: Member


def fuse(
    results: Sequence[PassResult],
    settings: Mapping[str, Any],
    size: tuple[int, int],
    *,
    kind: Kind,
    image_id: str,
    info: ImageInfo | None = None,
) -> Prediction:
    """Return the prediction of one rung for one image.

    Semantic: the weighted mean of the probability maps, cut at the threshold. Instance: NMS merges the views
    of each member, then weighted boxes fusion joins the members. A member's weight is the mean of the weights
    of its passes. Example: passes of member a with weights 1 and 3 and of member b with weight 4 give two
    lists of detections, of weight 2 and 4.

    Args:
        results: in the order of the ensemble's passes. Leave out the passes of a dropped member: the weights
            of the others count alone.
        settings: of the rung, as ensemble.json has them.
        size: (height, width) of the image.
        kind: of the predictions.
        image_id: named in messages.
        info: what is known of the image; a semantic rung may have thresholds by organ and source.

    Raises:
        KitError: no results, a file is damaged or of another size, detections that are not numbers.
    """
    if not results:
        raise KitError("no pass of this rung has a result", where=image_id, fix="run its passes first")
    if kind == "semantic":
        return _fuse_maps(results, from_plain(SemanticFusion, settings), size, image_id, info)
    return _fuse_detections(results, from_plain(InstanceFusion, settings), size, image_id)


def _fuse_maps(
    results: Sequence[PassResult],
    settings: SemanticFusion,
    size: tuple[int, int],
    image_id: str,
    info: ImageInfo | None,
) -> SemanticMask:
    maps = [open_map(result.file) for result in results]
    for prob_HW, result in zip(maps, results, strict=True):
        _require_size(prob_HW.shape, size, result.file, image_id)
    weights = [result.weight for result in results]
    return SemanticMask(*size, fuse_semantic(maps, weights, settings.threshold_of(info)))


def _fuse_detections(
    results: Sequence[PassResult], settings: InstanceFusion, size: tuple[int, int], image_id: str
) -> Instances:
    by_member: dict[str, list[PassResult]] = {}
    for result in results:
        by_member.setdefault(result.member.name, []).append(result)
    merged, weights = [], []
    for name, passes in by_member.items():
        views = [_detections(result, size, image_id) for result in passes]
        one = merge_views(views, from_plain(InstanceSettings, passes[0].member.inference, where=name))
        merged.append(calibrated(one, settings.calibration.get(name)))
        weights.append(float(np.mean([result.weight for result in passes])))
    return fuse_instances(merged, weights, settings, size, where=image_id)


def _detections(result: PassResult, size: tuple[int, int], image_id: str) -> CodedDetections:
    detections = load_detections(result.file)
    _require_size((detections.height, detections.width), size, result.file, image_id)
    require_detections(detections, result.file)
    return detections


def _require_size(found: tuple[int, ...], size: tuple[int, int], path: Path, image_id: str) -> None:
    if tuple(found) != tuple(size):
        raise KitError(
            f"a pass over {image_id} is {found[0]} x {found[1]}, the image {size[0]} x {size[1]}",
            where=path,
            fix="delete the scratch folder of passes and run again",
        )


def mean_bands(
    maps: Sequence[LevelRows], weights: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Weighted mean of stored probability maps, a few million pixels at a time.

    Args:
        maps: uint8 or uint16 (H, W), all of one size; arrays, or what `open_map` returns.
        weights: one a map, positive; only their ratios count.

    Yields:
        First row, and the mean probabilities from there, float32 (rows, W) in [0, 1].
    """
    shares = _shares(maps, weights)
    for y0, y1 in _row_bands(maps[0].shape):
        mean_HW = maps[0][y0:y1].astype(np.float32) * shares[0]
        for levels_HW, share in zip(maps[1:], shares[1:], strict=True):
            mean_HW += levels_HW[y0:y1].astype(np.float32) * share
        yield y0, mean_HW


def _shares(maps: Sequence[LevelRows], weights: Sequence[float]) -> NDArray[np.float32]:
    """What a stored level of each map adds to the mean probability."""
    levels = np.array([levels_of(levels_HW.dtype) for levels_HW in maps])
    return (np.array(weights, np.float64) / (float(np.sum(weights)) * levels)).astype(np.float32)


def _row_bands(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    height, width = shape
    rows = max(1, _BAND_VALUES // width)
    for y0 in range(0, height, rows):
        yield y0, min(y0 + rows, height)


def fuse_semantic(maps: Sequence[LevelRows], weights: Sequence[float], threshold: float) -> rle.Runs:
    """Run lengths of the pixels whose weighted mean probability is at least `threshold`, streamed.

    Args:
        maps: as `mean_bands`.
        weights: as `mean_bands`.
        threshold: probability.
    """
    encoder = rle.RunLengthEncoder(maps[0].shape[1])
    if len(maps) == 1:
        for reached_HW in _reached(maps[0], weights, threshold):
            encoder.push(reached_HW)
        return encoder.finish()
    for _, mean_HW in mean_bands(maps, weights):
        encoder.push(mean_HW >= np.float32(threshold))
    return encoder.finish()


def _reached(map_HW: LevelRows, weights: Sequence[float], threshold: float) -> Iterator[NDArray[np.bool_]]:
    """Where one map reaches the threshold: as `mean_bands` would say, but without a float a pixel."""
    levels = np.arange(levels_of(map_HW.dtype) + 1)
    reached = levels.astype(np.float32) * _shares([map_HW], weights)[0] >= np.float32(threshold)
    least = levels[reached].min(initial=len(levels))
    for y0, y1 in _row_bands(map_HW.shape):
        yield map_HW[y0:y1] >= least
