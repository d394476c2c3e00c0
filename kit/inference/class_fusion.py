"""Fuse the maps of several classes into one mask for each class.

This needs no torch, because processes that fuse run beside those that predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference.semantic_doubt import MaskDoubt
from kit.inference.semantic_fusion import mean_bands
from kit.inference.store import LevelRows, Levels
from kit.masks import rle
from kit.typed_json import Checked, above, below

Probability = Annotated[float, above(0), below(1)]


@dataclass(frozen=True, kw_only=True)
class ClassFusion(Checked):
    """How the maps of classes become masks.

    Attributes:
        threshold: a pixel belongs to a class if its weighted mean probability reaches this.
        thresholds: name of a class -> a threshold of its own.
        exclusive: a pixel that reaches the thresholds of several classes belongs to the most probable one.
    """

    threshold: Probability = 0.5
    thresholds: Mapping[str, Probability] = field(default_factory=dict)
    exclusive: bool = False


@dataclass(frozen=True)
class ClassRows:
    """The map of one class in a file of several: rows `first` to `first + height`."""

    stored: LevelRows
    first: int
    height: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns of this class."""
        return self.height, self.stored.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """`uint8` or `uint16`."""
        return self.stored.dtype

    def __getitem__(self, rows: slice) -> Levels:
        """Read some rows of this class."""
        start, stop, _ = rows.indices(self.height)
        return self.stored[slice(self.first + start, self.first + stop)]


def fuse_classes(
    maps: Sequence[LevelRows], weights: Sequence[float], classes: Sequence[str], fusion: ClassFusion
) -> tuple[dict[str, rle.Runs], float]:
    """Return the runs of each class, and the doubt of all masks together.

    Args:
        maps: of the passes, (K * H, W) as `kit.inference.class_maps` stores them.
        weights: of the passes, positive; only their ratios count.
        classes: names of the K classes.
        fusion: of the rung.

    Raises:
        KitError: a threshold is of a class that does not exist.
    """
    if unknown := sorted(set(fusion.thresholds) - set(classes)):
        raise KitError(
            f"a threshold is of {unknown[0]!r}, which is no class", fix=f"classes are: {', '.join(classes)}"
        )
    height, width = maps[0].shape[0] // len(classes), maps[0].shape[1]
    limits = np.array([fusion.thresholds.get(name, fusion.threshold) for name in classes], np.float32)
    encoders = [rle.RunLengthEncoder(width) for _ in classes]
    doubts = [MaskDoubt() for _ in classes]
    of_class = [
        mean_bands([ClassRows(one, number * height, height) for one in maps], weights)
        for number in range(len(classes))
    ]
    for bands in zip(*of_class, strict=True):  # all classes have the same rows
        mean_KHW = np.stack([mean_HW for _, mean_HW in bands])
        for encoder, doubt, mean_HW, mask_HW in zip(
            encoders, doubts, mean_KHW, _reached(mean_KHW, limits, exclusive=fusion.exclusive), strict=True
        ):
            encoder.push(mask_HW)
            doubt.add(mean_HW, mask_HW)
    runs = {name: encoder.finish() for name, encoder in zip(classes, encoders, strict=True)}
    return runs, sum(doubt.value for doubt in doubts) / len(doubts)


def _reached(
    mean_KHW: NDArray[np.float32], limits: NDArray[np.float32], *, exclusive: bool
) -> NDArray[np.bool_]:
    """Return which pixels belong to which class.

    >>> _reached(np.array([[[0.6, 0.4]], [[0.7, 0.2]]], np.float32), np.float32([0.5, 0.5]), exclusive=True)
    array([[[False, False]],
    <BLANKLINE>
           [[ True, False]]])
    """
    reached_KHW: NDArray[np.bool_] = mean_KHW >= limits[:, None, None]
    if not exclusive:
        return reached_KHW
    best_HW = np.where(reached_KHW, mean_KHW, -1).argmax(axis=0)
    chosen_KHW: NDArray[np.bool_] = reached_KHW & (best_HW == np.arange(len(mean_KHW))[:, None, None])
    return chosen_KHW
