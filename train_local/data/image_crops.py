"""Training examples of whole images: augmented, stretched to a random size, cropped."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kit.errors import KitError
from kit.local.console import console
from train_local.data import whole_images
from train_local.data.prepared import Prepared
from train_local.data.sampler import Position, generator, shuffled
from train_local.data.semantic_examples import SemanticExamples, tensors

IGNORED = -1.0
"""Target of pixels beyond the image: no loss counts them."""
_TRIES = 10
"""Crops that are drawn until neither class has too large a share; the last one is taken as it is."""


class ImageCrops(SemanticExamples):
    """Examples of whole images and of their copies in other stains; arguments as of `SemanticExamples`.

    How an example is made, for a recipe with images of 2000, sides of 480 to 1600 and crops of 960:

        1. one of the images or stained copies, each once per epoch, 2000 x 2000;
        2. the recipe's augmentation, which may depend on the organ;
        3. stretched to, say, 1510 wide and 620 high: the sides are drawn apart;
        4. a crop of at most 960 x 960, here 960 x 620, drawn again if one class takes too large a part of it;
        5. pixels of one colour at the right and bottom up to 960 x 960, which no loss counts.

    Raises:
        KitError: the size was not prepared, or only some of the stains were. Without any stain, the originals
            are used alone, and the console says so.
    """

    def _find(self, prepared: Prepared) -> None:
        data = self._data
        side = data.image_side
        if side is None or side not in prepared.sides:
            raise KitError(
                f"whole images were not prepared at {side} x {side}, which the recipe needs",
                where=prepared.root,
                fix="run `prepare` again; without --scale it prepares what every recipe needs",
            )
        stains = data.stains
        if stains and not prepared.stains:
            console().print(
                f"No stained copies are prepared: the recipe trains on the originals alone, and not on their "
                f"copies in {', '.join(stains)} as published (`stain` and `prepare --stains DIR` add them).",
                style="yellow",
                markup=False,
            )
            stains = ()
        if missing := [stain for stain in stains if stain not in prepared.stains]:
            raise KitError(
                f"the recipe needs copies of the images in the stain {missing[0]!r}, which are not prepared",
                where=prepared.root,
                fix="run `prepare` again with --stains DIR that holds all of them, or without --stains: then "
                "recipes train on the originals alone",
            )
        # All originals, then all copies in the first stain, ...: source n is of image n % len(ids).
        self._sources = [
            whole_images.files_of(prepared.root, side, image_id, stain)
            for stain in ("", *stains)
            for image_id in self._ids
        ]

    def __len__(self) -> int:
        """Examples of an epoch."""
        return len(self._sources) * self._data.examples_per_image

    def __getitem__(self, position: Position) -> tuple[Tensor, Tensor]:
        """Image uint8 (3, h, w) and target float32 (1, h, w): 0, 1 or `IGNORED`."""
        random = generator(self._seed, *position)
        number = shuffled(self._seed, 0, self._number(position), len(self._sources))
        files, organ = self._sources[number], self._organs[number % len(self._ids)]
        # Everything random comes from `random`, in this order: augmentation, size, crop. A change of the
        # order changes every training.
        image_HWC, mask_HW = self._augment(np.load(files.image), np.load(files.mask), random, organ=organ)
        image_HWC, mask_HW = self._crop(*self._stretch(image_HWC, mask_HW, random), random)
        target_HW = np.where(mask_HW > 127, 1.0, 0.0).astype(np.float32)
        if self._data.crop is not None:
            missing = [max(self._data.crop - side, 0) for side in mask_HW.shape]
            below = (0, missing[0], 0, missing[1])
            padded = cv2.copyMakeBorder(image_HWC, *below, cv2.BORDER_CONSTANT, value=self._data.fill)
            image_HWC = np.asarray(padded, np.uint8)
            padded = cv2.copyMakeBorder(target_HW, *below, cv2.BORDER_CONSTANT, value=IGNORED)
            target_HW = np.asarray(padded, np.float32)
        return tensors(image_HWC, target_HW)

    def image_of(self, position: Position) -> str:
        """Id of the image that an example comes from."""
        number = shuffled(self._seed, 0, self._number(position), len(self._sources))
        return self._ids[number % len(self._ids)]

    def _stretch(
        self, image_HWC: NDArray[np.uint8], mask_HW: NDArray[np.uint8], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """To a width and a height drawn apart, both ends of the range included; the shape is not kept."""
        if self._data.scale_range is None:
            return image_HWC, mask_HW
        low, high = self._data.scale_range
        width, height = random.integers(low, high + 1, 2).tolist()
        image_HWC = np.asarray(
            cv2.resize(image_HWC, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
        mask = cv2.resize(mask_HW, (width, height), interpolation=cv2.INTER_NEAREST)
        return image_HWC, np.asarray(mask, np.uint8)

    def _crop(
        self, image_HWC: NDArray[np.uint8], mask_HW: NDArray[np.uint8], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        crop = self._data.crop
        if crop is None:
            return image_HWC, mask_HW
        for _ in range(_TRIES):
            top, left = (int(random.integers(0, max(side - crop, 0) + 1)) for side in mask_HW.shape)
            area = (slice(top, top + crop), slice(left, left + crop))
            share = float((mask_HW[area] > 127).mean())
            # Published: a crop counts only if it has both classes, and neither takes more than the share.
            if self._data.crop_cat_max_ratio >= 1 or max(share, 1 - share) < self._data.crop_cat_max_ratio:
                break
        return image_HWC[area], mask_HW[area]
