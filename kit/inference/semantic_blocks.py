"""Which square blocks of a mask are confident, so that dearer passes need not look at them again.

A block is confident if the mask has all of its pixels or none, and few of them are expected to be wrong. Such
a block needs one number, its mean probability: where a later pass skips its window, its map has this number.
An image of 30,000 x 30,000 pixels has 14,000 blocks, which take 55 kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.artefacts import write_bytes
from kit.ensemble import Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.layout import Layout, layout
from kit.inference.semantic_doubt import MaskDoubt
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.tiles import Tile
from kit.typed_json import from_plain

BLOCK = 256
"""Pixels per side of a block; those at the right and bottom border are cut."""


class BlockDoubt(MaskDoubt):
    """Doubt of a mask, and of each of its blocks.

    The doubt of an image is (pixels expected to be wrong) / (sum of all p + pixels in M), see `MaskDoubt`.
    That of a block is the same with the block's share of the denominator,

        (its pixels expected to be wrong / its pixels) / ((sum of all p + pixels in M) / all pixels),

    so that the image's doubt is the mean of its blocks' doubts, weighted by their pixels. It may exceed 1. An
    image of 1000 blocks, of which 20 are the mask: a block of probability 0.001 has a doubt of
    0.001 / (2 * 20 / 1000) = 0.025, if all other blocks are 0 or 1. Blocks in which the mask has a border
    count as never confident: their doubt is infinite.

    Args:
        height: rows of the image.
        width: its columns.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self._lefts = np.arange(0, width, BLOCK)
        tall, wide = (np.diff([*range(0, side, BLOCK), side]) for side in (height, width))
        self._area = np.outer(tall, wide)
        self._sum, self._count = np.zeros(self._area.shape), np.zeros(self._area.shape)
        self._row = 0

    def add(self, prob_HW: NDArray[np.generic], mask_HW: NDArray[np.bool_], unit: float = 1.0) -> None:
        """Add the next rows; arguments as `MaskDoubt.add`."""
        super().add(prob_HW, mask_HW, unit)
        done = 0
        while done < len(prob_HW):
            block, inside = divmod(self._row, BLOCK)
            rows = slice(done, done + BLOCK - inside)
            for sums, part_HW, of_one in ((self._sum, prob_HW, unit), (self._count, mask_HW, 1.0)):
                column_W = part_HW[rows].sum(axis=0, dtype=np.float64)
                sums[block] += np.add.reduceat(column_W, self._lefts) * of_one
            step = len(prob_HW[rows])
            done, self._row = done + step, self._row + step

    @property
    def of_blocks(self) -> NDArray[np.float64]:
        """The doubts of all blocks, (rows of blocks, columns of blocks)."""
        wrong = np.where(self._count > 0, self._area - self._sum, self._sum).clip(0)
        mean = (self.every + self.pixels) / self._area.sum()
        doubts = np.divide(wrong / self._area, mean, out=np.zeros(wrong.shape), where=mean > 0)
        return np.where((self._count == 0) | (self._count == self._area), doubts, np.inf)

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean probabilities of all blocks, of the same shape."""
        means: NDArray[np.float64] = self._sum / self._area
        return means

    def confident(self, below: float) -> ConfidentBlocks:
        """Return the blocks whose doubt is below a limit."""
        means = np.where(self.of_blocks < below, self.means, np.nan)
        return ConfidentBlocks(means.astype(np.float32))


@dataclass(frozen=True, eq=False)
class ConfidentBlocks:
    """The confident blocks of an image.

    Attributes:
        means: float32 (rows of blocks, columns of blocks), mean probability of a confident block; NaN of any
            other.
    """

    means: NDArray[np.float32]

    def needed(self, plan: Layout) -> list[Tile]:
        """Return the tiles whose core has a part of a block that is not confident."""
        return [tile for tile in plan.tiles() if np.isnan(self._of(tile)).any()]

    def left(self, member: Member, size: tuple[int, int], info: ImageInfo | None) -> float:
        """Return the share of its windows that a member has to look at, in [0, 1].

        Of one that skips background, cores that are 0 everywhere count as background, which it never looks
        at: of 100 windows with 40 of background and 45 others that are confident, 15 of 60 are left.
        """
        settings = from_plain(SemanticSettings, member.inference, where=member.name)
        pixel_size = info.pixel_size if info else None
        plan = layout(settings, [1.0], size, pixel_size=pixel_size, where=member.name)
        tiles = sum(not settings.skip_background or self._of(tile).any() for tile in plan.tiles())
        return len(self.needed(plan)) / max(tiles, 1)

    def fill(self, out_HW: NDArray[Any], first: int, levels: int) -> None:
        """Fill rows of a map with the probability of confident blocks, and with 0 elsewhere.

        Args:
            out_HW: the rows, complete; may be of integers.
            first: row of the image where they begin.
            levels: number that stands for probability 1.
        """
        for y0 in range(first // BLOCK * BLOCK, first + len(out_HW), BLOCK):
            level = (np.nan_to_num(self.means[y0 // BLOCK]) * levels + 0.5).astype(np.uint16)
            out_HW[max(y0 - first, 0) : y0 + BLOCK - first] = np.repeat(level, BLOCK)[: out_HW.shape[1]]

    def save(self, path: Path) -> None:
        """Write them, row by row as 32-bit numbers.

        Raises:
            KitError: the disk is full.
        """
        write_bytes(path, self.means.astype("<f4").tobytes())

    def _of(self, tile: Tile) -> NDArray[np.float32]:
        y1, x1 = tile.y0 + tile.height, tile.x0 + tile.width
        return self.means[tile.y0 // BLOCK : -(-y1 // BLOCK), tile.x0 // BLOCK : -(-x1 // BLOCK)]


def load_confident(path: Path | None, size: tuple[int, int]) -> ConfidentBlocks | None:
    """Read what `ConfidentBlocks.save` wrote; None where it is not there, damaged or of another size.

    Without it a pass looks at all its windows, which is never wrong.
    """
    rows, columns = (-(-side // BLOCK) for side in size)
    try:
        data = b"" if path is None else path.read_bytes()
    except OSError:
        return None
    whole = len(data) == 4 * rows * columns
    return ConfidentBlocks(np.frombuffer(data, "<f4").reshape(rows, columns)) if whole else None


def shares_left(
    found: ConfidentBlocks, members: Sequence[Member], size: tuple[int, int], info: ImageInfo | None
) -> tuple[float, ...]:
    """Return for each member the share of its windows that it has to look at; 1 where it cannot be told."""

    def left(member: Member) -> float:
        try:
            return found.left(member, size, info)
        except KitError:  # its passes over this image will fail and say why
            return 1.0

    return tuple(left(member) for member in members)
