"""Training examples of tiles, drawn so that tiles with much, little and no foreground come equally often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kit.errors import KitError
from train_local.data import slides
from train_local.data.prepared import Prepared
from train_local.data.sampler import Position, generator
from train_local.data.semantic_examples import SemanticExamples, covered, tensors

_BINS, _PER_UNIT = 7, 20
"""A tile with a share s of foreground is in bin round(20 s), at most 7; bin 0 counts as no foreground."""


@dataclass(frozen=True)
class Tile:
    """A square of an image at full resolution.

    Attributes:
        image: number of the image.
        top: row.
        left: column.
        bin: of its share of foreground.
    """

    image: int
    top: int
    left: int
    bin: int


def starts(side: int, tile: int, offset: int) -> range:
    """Return where the tiles of a grid begin along a side of an image.

    The grid from 0 covers the image; its last tile may reach over the edge. A shifted one begins inside, and
    its last tile is left out if less than half of a tile is left at the edge, as published. So a side of 3000
    with tiles of 1024 has tiles at 0, 1024, 2048, and shifted by 512 at 512 and 1536: 9 + 4 in the image.
    """
    count = -(-side // tile)
    if offset:
        count -= 1 + (side % tile < tile // 2)
    return range(offset, offset + count * tile, tile)


class BalancedTiles(SemanticExamples):
    """Examples of tiles of images at full resolution; arguments as of `SemanticExamples`.

    An epoch draws n tiles without and n with foreground, n being the number of the rarer kind. Those with
    foreground are drawn again by bins, so that each bin of the share of foreground comes equally often.

    Raises:
        KitError: images were not prepared at full resolution, or no tile is left.
    """

    def _find(self, prepared: Prepared) -> None:
        data = self._data
        if 1 not in prepared.reductions:
            raise KitError(
                "images were not prepared at full resolution, which the recipe needs",
                where=prepared.root,
                fix="run `prepare` again with --scale 1",
            )
        if data.tile is None:
            raise KitError("balanced sampling needs tiles", where="recipe", fix="set data.tile")
        self._tile = data.tile
        self._files = [slides.files_of(prepared.root, 1, image_id) for image_id in self._ids]
        self._tiles = [
            tile for number, files in enumerate(self._files) for tile in self._of_image(number, files)
        ]
        if not self._tiles:
            raise KitError(
                f"no tile deviates by more than {data.least_std:g}",
                where=prepared.root,
                fix="lower the recipe's data.least_std",
            )
        bins = np.array([tile.bin for tile in self._tiles])
        self._epochs = Epochs(tuple(bins.tolist()), self._seed)

    def __len__(self) -> int:
        """Examples of an epoch."""
        return len(self._epochs)

    def __getitem__(self, position: Position) -> tuple[Tensor, Tensor]:
        """Image uint8 (3, h, w) and covered part of each pixel float32 (1, h, w) in [0, 1]."""
        random = generator(self._seed, *position)
        tile = self._tiles[self._epochs.tile(self._number(position))]
        image_HWC, mask_HW = self._read(tile)
        image_HWC, mask_HW = self._augment(image_HWC, mask_HW, random, organ=self._organs[tile.image])
        return tensors(image_HWC, covered(mask_HW))

    def image_of(self, position: Position) -> str:
        """Id of the image that an example comes from."""
        return self._ids[self._tiles[self._epochs.tile(self._number(position))].image]

    def _of_image(self, number: int, files: slides.SlideFiles) -> list[Tile]:
        with np.load(files.places) as places:
            grey, cover = places["grey"], places["cover"]
        height, width = np.load(files.mask, mmap_mode="r").shape
        found = []
        for offset in self._data.offsets:
            for top in starts(height, self._tile, offset):
                for left in starts(width, self._tile, offset):
                    deviation, share = self._describe(grey, cover, top, left)
                    if deviation > self._data.least_std:
                        found.append(Tile(number, top, left, min(round(share * _PER_UNIT), _BINS)))
        return found

    def _describe(
        self, grey: NDArray[np.float64], cover: NDArray[np.float64], top: int, left: int
    ) -> tuple[float, float]:
        """Standard deviation of a tile's channel values, and its share of foreground, black edges included.

        The sums are of squares of 32 pixels; a tile whose edge cuts one counts all of it.
        """
        rows = slice(top // slides.BLOCK, -(-(top + self._tile) // slides.BLOCK))
        columns = slice(left // slides.BLOCK, -(-(left + self._tile) // slides.BLOCK))
        total = grey[rows, columns, 1].sum() * 3
        squares, covered = cover[rows, columns].sum(axis=(0, 1))
        values = 3 * self._tile**2
        variance = max(squares / values - (total / values) ** 2, 0.0)
        return float(variance**0.5), float(covered / self._tile**2)

    def _read(self, tile: Tile) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The tile at the recipe's scale; beyond the image it is black, as published."""
        files = self._files[tile.image]
        image, mask = np.load(files.image, mmap_mode="r"), np.load(files.mask, mmap_mode="r")
        area = (slice(tile.top, tile.top + self._tile), slice(tile.left, tile.left + self._tile))
        image_HWC, mask_HW = np.array(image[area]), np.array(mask[area])
        missing = [(0, self._tile - side) for side in mask_HW.shape]
        image_HWC, mask_HW = np.pad(image_HWC, (*missing, (0, 0))), np.pad(mask_HW, missing)
        side = max(round(self._tile * self._data.scale), 1)
        if side == self._tile:
            return image_HWC, mask_HW
        size = (side, side)
        return (
            np.asarray(cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA), np.uint8),
            np.asarray(cv2.resize(mask_HW, size, interpolation=cv2.INTER_AREA), np.uint8),
        )


class Epochs:
    """Which tile is the n-th example, in a new draw each epoch.

    Args:
        bins: of all tiles.
        seed: of the run.
    """

    def __init__(self, bins: tuple[int, ...], seed: int) -> None:
        self._bins, self._seed = bins, seed
        masked = [number for number, bin_ in enumerate(bins) if bin_]
        self._masked = np.array(masked, np.int64)
        self._empty = np.array([number for number, bin_ in enumerate(bins) if not bin_], np.int64)
        # Without one of the two kinds there is nothing to balance: all tiles come.
        self._count = min(len(self._masked), len(self._empty))
        self._kinds = sorted({bin_ for bin_ in bins if bin_})
        self._each = max(self._count // len(self._kinds), 1) if self._count else 0

    def __len__(self) -> int:
        """Examples of an epoch."""
        if not self._count:
            return len(self._bins)
        return self._count + self._each * len(self._kinds)

    def tile(self, number: int) -> int:
        """Return the number of the tile."""
        return int(_draw(self, number // len(self))[number % len(self)])

    def draw(self, epoch: int) -> NDArray[np.int64]:
        """Return the tiles of an epoch, in order.

        With 40 tiles without foreground and 100 with, of three bins: all 40 without, in any order, and of the
        others 40 are drawn, say 30, 8 and 2 of the bins. Each bin is then drawn from 13 times, with
        replacement; a bin that is not among the 40 is drawn from as a whole.
        """
        random = np.random.default_rng(np.random.SeedSequence([self._seed, 1, epoch]))
        if not self._count:
            return random.permutation(len(self._bins))
        without = random.choice(self._empty, self._count, replace=False)
        drawn = random.choice(self._masked, self._count, replace=False)
        parts = [without]
        for kind in self._kinds:
            of_kind = drawn[[self._bins[number] == kind for number in drawn]]
            if not len(of_kind):
                of_kind = np.array([number for number in self._masked if self._bins[number] == kind])
            parts.append(random.choice(of_kind, self._each, replace=True))
        return random.permutation(np.concatenate(parts))


@lru_cache(maxsize=4)
def _draw(epochs: Epochs, epoch: int) -> NDArray[np.int64]:
    return epochs.draw(epoch)
