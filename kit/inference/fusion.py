"""Passes to one prediction: mean of probability maps, or detections merged over views and fused over members.

Needs no torch: the supervisor on Kaggle fuses while its workers predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.instance_fusion import calibrated, fuse_instances, merge_views, require_detections
from kit.inference.settings import InstanceFusion, InstanceSettings, SemanticFusion
from kit.inference.store import CodedDetections, LevelRows, levels_of, load_detections, open_map
from kit.masks import rle
from kit.predictions import Prediction, SemanticMask

_BAND_VALUES = 1 << 22
"""Pixels of the mean map that exist at once."""


def fuse(
    ensemble: Ensemble,
    rung_index: int,
    image_id: str,
    pass_files: Mapping[int, Path],
    size: tuple[int, int],
    *,
    info: ImageInfo | None = None,
) -> Prediction:
    """The prediction of one rung for one image.

    Instances: a member's views are merged first, then members are fused; a member's weight is the mean of its
    passes' weights.

    Args:
        ensemble: the plan.
        rung_index: which rung's weights and settings apply.
        image_id: named in messages.
        pass_files: index in `ensemble.passes` -> what `kit.inference.runner.run_pass` returned. A pass of the
            rung that is missing here (its member was dropped) is left out and the others' weights count
            alone.
        size: (height, width) the image has.
        info: what is known of the image; a semantic rung may have thresholds by organ and source.

    Raises:
        KitError: no pass of the rung is there, a file is damaged or of another size, detections that are not
            numbers.
    """
    rung = ensemble.rungs[rung_index]
    present = [index for index in range(rung.passes) if index in pass_files]
    if not present:
        raise KitError("no pass of this rung has a result", where=image_id, fix="run its passes first")
    weights = [rung.weights[index] for index in present]
    if ensemble.kind == "semantic":
        maps = [open_map(pass_files[index]) for index in present]
        for prob_HW, index in zip(maps, present, strict=True):
            _require_size(prob_HW.shape, size, pass_files[index], image_id)
        settings = SemanticFusion.from_dict(rung.settings)
        return SemanticMask(*size, fuse_semantic(maps, weights, settings.threshold_of(info)))
    views_of: dict[int, list[CodedDetections]] = {}
    weights_of: dict[int, list[float]] = {}
    for index, weight in zip(present, weights, strict=True):
        detections = load_detections(pass_files[index])
        _require_size((detections.height, detections.width), size, pass_files[index], image_id)
        require_detections(detections, pass_files[index])
        member = ensemble.passes[index].member
        views_of.setdefault(member, []).append(detections)
        weights_of.setdefault(member, []).append(weight)
    fusion = InstanceFusion.from_dict(rung.settings)
    merged = []
    for number, views in sorted(views_of.items()):
        of = ensemble.members[number]
        one = merge_views(views, InstanceSettings.from_dict(of.inference, where=of.name))
        merged.append(calibrated(one, fusion.calibration.get(of.name)))
    means = [float(np.mean(weights_of[number])) for number in sorted(weights_of)]
    return fuse_instances(merged, means, fusion, size, where=image_id)


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
