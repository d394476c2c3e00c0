"""What the training examples of all semantic recipes have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from train_local.data.prepared import Prepared
from train_local.data.sampler import Position
from train_local.recipes.settings import Data


class Augment(Protocol):
    """Changes an example: `train_local.augment.semantic` with a recipe's operations."""

    def __call__(
        self,
        image_HWC: NDArray[np.uint8],
        mask_HW: NDArray[np.uint8],
        random: np.random.Generator,
        *,
        organ: str | None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image and mask, changed; `organ` is the one that the image shows."""


class SemanticExamples(Dataset[tuple[Tensor, Tensor]], ABC):
    """Examples of images and their masks, each a function of (seed, step, item) only.

    Args:
        prepared: the prepared folder.
        ids: images to take from.
        data: what an example is.
        augment: done to each.
        seed: of the run.
        per_step: examples of one step; with step and item it gives the number of an example.

    Raises:
        KitError: the images were not prepared as the recipe needs them, or the recipe's `data` lacks
            something.
    """

    def __init__(
        self,
        prepared: Prepared,
        ids: Sequence[str],
        data: Data,
        *,
        augment: Augment,
        seed: int,
        per_step: int,
    ) -> None:
        self._ids, self._data = list(ids), data
        self._augment, self._seed, self._per_step = augment, seed, per_step
        self._organs = [prepared.images[image_id].organ or None for image_id in ids]
        self._find(prepared)

    @abstractmethod
    def _find(self, prepared: Prepared) -> None:
        """Find the arrays of the images, and in them the places of examples."""

    @abstractmethod
    def __len__(self) -> int:
        """Examples of an epoch."""

    @abstractmethod
    def __getitem__(self, position: Position) -> tuple[Tensor, Tensor]:
        """Image uint8 (3, h, w) and target float32 (1, h, w): covered part of each pixel, in [0, 1]."""

    @abstractmethod
    def image_of(self, position: Position) -> str:
        """Id of the image that an example comes from."""

    def _number(self, position: Position) -> int:
        """How many examples of the run come before this one."""
        step, item = position
        return step * self._per_step + item


def tensors(image_HWC: NDArray[np.uint8], target_HW: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Return image (3, h, w) and target (1, h, w) as torch wants them."""
    x_CHW = torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1)))
    return x_CHW, torch.from_numpy(np.ascontiguousarray(target_HW))[None]


def covered(mask_HW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the covered part of each pixel, 0 to 1, of a mask of bytes."""
    return mask_HW.astype(np.float32) / np.float32(255)
