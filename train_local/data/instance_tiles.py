"""Training examples of tiles with instances: read, resized, cut and augmented as the recipe says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kit.errors import KitError
from kit.inference.resize import resize_image, resize_mask
from kit.local.masks import boxes
from kit.models.detections import InstanceTarget
from train_local.data import coco
from train_local.data.image_choice import coco_of
from train_local.data.prepared import Prepared
from train_local.data.sampler import Position, generator, shuffled
from train_local.recipes.settings import Data

Augment = Callable[
    [NDArray[np.uint8], NDArray[np.bool_], np.random.Generator], tuple[NDArray[np.uint8], NDArray[np.bool_]]
]
"""(image_HWC, masks_NHW, generator) -> both, changed; instances may come out empty."""

_LEAST_PIXELS = 4
"""Instances that augmentation leaves with fewer pixels are dropped."""
_TRIES = 16
"""Tiles tried for an example with an instance; after them the last one is taken as it is."""


def target_of(masks_NHW: NDArray[np.bool_]) -> InstanceTarget:
    """Return boxes and masks of the instances that still have enough pixels."""
    masks_NHW = masks_NHW[masks_NHW.sum(axis=(1, 2)) >= _LEAST_PIXELS]
    return InstanceTarget(
        boxes=torch.from_numpy(boxes.of_masks(masks_NHW).astype(np.float32)),
        masks=torch.from_numpy(np.ascontiguousarray(masks_NHW)),
    )


class InstanceTiles(Dataset[tuple[Tensor, InstanceTarget]]):
    """Examples of the tiles that a recipe trains on, each a function of (seed, step, item) only.

    Args:
        prepared: the prepared folder.
        fold: whose training part is used, where the recipe's sets do not say all images.
        data: what an example is.
        augment: done to each.
        seed: of the run.
        per_step: examples of one step; with step and item it gives the number of an example.
        labels: folder of the label sets; None for a recipe that trains on truth only.

    Raises:
        KitError: a set of the recipe has no image, a label set is not made yet, or no tile has an instance.
    """

    def __init__(
        self,
        prepared: Prepared,
        fold: int,
        data: Data,
        *,
        augment: Augment,
        seed: int,
        per_step: int,
        labels: Path | None = None,
    ) -> None:
        value = coco_of(prepared, fold, data.sets, labels)
        grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for entry in value["annotations"]:
            grouped[entry["image_id"]].append(entry)
        self._reading = prepared.source.reading
        self._ids: list[str] = [
            image["id"] for image in value["images"] if grouped[image["id"]] or not data.filter_empty
        ]
        self._tiles = [(prepared.image_path(image_id), grouped[image_id]) for image_id in self._ids]
        if not any(entries for _, entries in self._tiles):
            raise KitError(
                f"no training tile of fold {fold} has an instance",
                where=prepared.coco_path,
                fix="check the annotations and tile_meta.csv, or the recipe's data.sets",
            )
        self._data, self._augment, self._seed, self._per_step = data, augment, seed, per_step

    def __len__(self) -> int:
        """Examples of an epoch."""
        return len(self._tiles) * self._data.examples_per_image

    def image_of(self, position: Position) -> str:
        """Return the id of the tile that an example shows."""
        number, _, _ = self._drawn(position)
        return self._ids[number]

    def __getitem__(self, position: Position) -> tuple[Tensor, InstanceTarget]:
        """Image uint8 (3, h, w) and its instances."""
        _, image_HWC, target = self._drawn(position)
        return torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1))), target

    def _drawn(self, position: Position) -> tuple[int, NDArray[np.uint8], InstanceTarget]:
        """Number of the tile, image (h, w, 3) and instances of an example."""
        step, item = position
        random = generator(self._seed, step, item)
        # Everything random comes from `random`, in this order: crop, augmentation, another tile. A change of
        # the order changes every training.
        number = shuffled(self._seed, 0, step * self._per_step + item, len(self._tiles))
        for _ in range(_TRIES):
            image_HWC, masks_NHW = self._example(number, random)
            target = target_of(masks_NHW)
            if len(target["boxes"]) or not self._tiles[number][1]:
                return number, image_HWC, target
            # As published: crop and augmentation left no instance, so any other tile takes its place.
            last, number = number, int(random.integers(len(self._tiles)))
        return last, image_HWC, target

    def _example(
        self, number: int, random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """One tile, cut and augmented; its instances may be lost."""
        path, entries = self._tiles[number]
        with self._reading.open(path) as slide:
            image_HWC = slide.read_band(0, slide.height)
        masks_NHW = _masks_of(entries, image_HWC.shape[:2])
        image_HWC, masks_NHW = self._cut(*self._resize(image_HWC, masks_NHW), random)
        return self._augment(image_HWC, masks_NHW, random)

    def _resize(
        self, image_HWC: NDArray[np.uint8], masks_NHW: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        height, width = (max(round(side * self._data.scale), 1) for side in image_HWC.shape[:2])
        resized = np.zeros((len(masks_NHW), height, width), bool)
        for number, mask_HW in enumerate(masks_NHW):
            resized[number] = resize_mask(mask_HW, height, width, 0.5)
        return resize_image(image_HWC, height, width), resized

    def _cut(
        self, image_HWC: NDArray[np.uint8], masks_NHW: NDArray[np.bool_], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """A random or central square; a side that is shorter than it is not cut."""
        if self._data.crop is None:
            return image_HWC, masks_NHW
        slack = [max(side - self._data.crop, 0) for side in image_HWC.shape[:2]]
        centred = random.random() < self._data.crop_centre
        top, left = (free // 2 if centred else int(random.integers(0, free + 1)) for free in slack)
        rows, columns = slice(top, top + self._data.crop), slice(left, left + self._data.crop)
        return image_HWC[rows, columns], masks_NHW[:, rows, columns]


def _masks_of(entries: Sequence[dict[str, Any]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Bool (N, H, W); a tile may have none."""
    masks_NHW = np.zeros((len(entries), *size), bool)
    for number, entry in enumerate(entries):
        masks_NHW[number] = coco.mask_of(entry)
    return masks_NHW


def collate(examples: Sequence[tuple[Tensor, InstanceTarget]]) -> tuple[Tensor, list[InstanceTarget]]:
    """Return one batch; smaller images get pixels at the right and bottom, their masks keep the size."""
    height = max(x_CHW.shape[1] for x_CHW, _ in examples)
    width = max(x_CHW.shape[2] for x_CHW, _ in examples)
    x_NCHW = torch.zeros((len(examples), 3, height, width), dtype=torch.uint8)
    for number, (x_CHW, _) in enumerate(examples):
        x_NCHW[number, :, : x_CHW.shape[1], : x_CHW.shape[2]] = x_CHW
    return x_NCHW, [target for _, target in examples]
