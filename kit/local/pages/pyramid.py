"""Deep-zoom tiles of an image: every level has half the width and height of the next finer one.

    level 2   1 tile      the whole image, small
    level 3   2 x 2
    level 4   4 x 4       the image as it is stored

A page has no room for all tiles of a slide. Of a slide that doesn't fit, the coarse levels are complete, and
of the finer ones there are the tiles where most is to be seen: where truth and prediction differ.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.images.image_protocols import Reading
from kit.local.wording import counted

TILE = 512
"""Pixels of a side of a tile."""
_BYTES_PER_PIXEL = 0.45
"""Characters of base64 that a pixel of stained tissue needs, before any is encoded."""
_COMPLETE = 0.6
"""Share of the budget that complete levels may have of an image that does not fit."""
_QUALITY = 80
Place = tuple[int, int, int]
"""Level, column and row of a tile."""


@dataclass(frozen=True)
class Pyramid:
    """The tiles of one picture.

    Attributes:
        width: pixels of the image.
        height: pixels of the image.
        coarsest: first level; the image is one tile there.
        complete: last level of which every tile is there.
        finest: level of the image as it is stored.
        tiles: level, column, row -> JPEG in base64.
    """

    width: int
    height: int
    coarsest: int
    complete: int
    finest: int
    tiles: dict[Place, str]

    @property
    def characters(self) -> int:
        """Characters of all tiles."""
        return sum(map(len, self.tiles.values()))

    @property
    def kept(self) -> str:
        """What is there, for people; "" if everything is."""
        if self.complete == self.finest:
            return ""
        share = 2 ** (self.finest - self.complete)
        tiles = counted(sum(level == self.finest for level, _, _ in self.tiles), "tile")
        return f"The whole at 1/{share} of its {self.width} x {self.height} pixels, {tiles} at full size."


def pyramid(path: Path, reading: Reading, interest_YX: NDArray[np.float64], budget: int) -> Pyramid:
    """Read an image once, band by band, and make its tiles; a slide never is in memory as a whole.

    Args:
        path: the image file.
        reading: reads it.
        interest_YX: what is to be seen in each tile of the finest level, (rows, columns); tiles with more
            are kept first, those with 0 only where everything fits.
        budget: characters that all tiles may have together. The coarsest level is there whatever it takes.

    Raises:
        KitError: the image cannot be read.
    """
    with reading.open(path) as slide:
        width, height = slide.width, slide.height
        finest = max(max(width, height) - 1, 1).bit_length()
        # The last level at which the image is one tile; coarser ones would show no more.
        coarsest = max(
            level for level in range(finest + 1) if max(_sizes(width, height, finest - level)) <= TILE
        )
        complete, wanted = _wanted((width, height), coarsest, finest, interest_YX, budget)
        tiles: dict[Place, str] = {}
        maker = _Maker(finest, coarsest, complete, wanted, tiles)
        for top in range(0, height, TILE):
            maker.push(slide.read_band(top, min(top + TILE, height)), finest)
        maker.finish()
    return _within(Pyramid(width, height, coarsest, complete, finest, tiles), interest_YX, budget)


def _sizes(width: int, height: int, halvings: int) -> tuple[int, int]:
    """Return width and height after some halvings, each rounded up: 5 x 4 becomes 3 x 2, then 2 x 1."""
    return -(-width // 2**halvings), -(-height // 2**halvings)


def _wanted(
    size: tuple[int, int], coarsest: int, finest: int, interest_YX: NDArray[np.float64], budget: int
) -> tuple[int, set[Place]]:
    """Return the last complete level, and the tiles that are wanted of finer ones."""
    # A slide of 30000 x 30000 has the levels 9 (469 x 469) to 15. For 3,000,000 characters: levels 9 and 10
    # need 500,000, with level 11 they would need 2,100,000, which is more than 60 %. So level 10 is the last
    # complete one, and the rest is enough for 5 to 15 tiles of full size with those above them.
    level_pixels = [float(np.prod(_sizes(*size, finest - level))) for level in range(finest + 1)]
    costs = np.cumsum([0.0, *level_pixels[coarsest:]])[1:] * _BYTES_PER_PIXEL
    if costs[-1] <= budget:
        return finest, set()
    complete = coarsest + max(0, int(np.searchsorted(costs, _COMPLETE * budget, side="right")) - 1)
    rest, wanted = budget - costs[complete - coarsest], set[Place]()
    each = TILE * TILE * _BYTES_PER_PIXEL
    for column, row in _by_interest(interest_YX):
        chain = _above((finest, column, row), complete)
        rest -= each * len(chain - wanted)
        if rest < 0:
            break
        wanted |= chain
    return complete, wanted


def _by_interest(interest_YX: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield column and row of the tiles of the finest level, most interesting first."""
    columns = interest_YX.shape[1]
    for place in np.argsort(-interest_YX, axis=None, kind="stable").tolist():
        row, column = divmod(place, columns)
        if interest_YX[row, column] <= 0:
            return
        yield column, row


def _above(place: Place, complete: int) -> set[Place]:
    """Return a tile and those that show the same place on coarser levels, down to the last complete one."""
    level, column, row = place
    return {(level - up, column >> up, row >> up) for up in range(level - complete)}


class _Maker:
    """Cuts bands of rows into tiles, halves them, and cuts those again.

    Each level collects rows until it has 512 of them: of a slide of 30000 columns there never are more than
    512 x 60000 pixels in memory.
    """

    def __init__(
        self, finest: int, coarsest: int, complete: int, wanted: set[Place], tiles: dict[Place, str]
    ) -> None:
        self._finest, self._coarsest, self._complete = finest, coarsest, complete
        self._wanted, self._tiles = wanted, tiles
        self._rows: dict[int, list[NDArray[np.uint8]]] = {level: [] for level in range(coarsest, finest + 1)}
        self._row = dict.fromkeys(self._rows, 0)

    def push(self, band_HWC: NDArray[np.uint8], level: int) -> None:
        """Add rows to a level: at most 512, and an odd number of them only at the end of the image."""
        rows = self._rows[level]
        rows.append(band_HWC)
        if sum(map(len, rows)) >= TILE:
            self._cut(level)

    def finish(self) -> None:
        """Cut what is left of every level, from the finest on."""
        for level in range(self._finest, self._coarsest - 1, -1):
            if self._rows[level]:
                self._cut(level)

    def _cut(self, level: int) -> None:
        # Bands have 512 rows, and halves of them 256, but for the last one: 512 are never passed.
        band_HWC = np.concatenate(self._rows[level])
        self._rows[level] = []
        row = self._row[level]
        self._row[level] += 1
        for column in range(-(-band_HWC.shape[1] // TILE)):
            place = (level, column, row)
            if level <= self._complete or place in self._wanted:
                self._tiles[place] = jpeg(band_HWC[:, column * TILE : (column + 1) * TILE])
        if level > self._coarsest:
            self.push(_halved(band_HWC), level - 1)


def _halved(band_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 2 x 2 pixels; an odd last row or column counts twice."""
    height, width = band_HWC.shape[:2]
    even_HWC = cv2.copyMakeBorder(band_HWC, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    half: NDArray[np.uint8] = cv2.resize(
        even_HWC, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA
    )
    return half


def jpeg(image_HWC: NDArray[np.uint8], quality: int = _QUALITY) -> str:
    """Return an RGB image as a JPEG in base64."""
    bgr_HWC = np.ascontiguousarray(image_HWC[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return base64.b64encode(data.tobytes()).decode()


def _within(found: Pyramid, interest_YX: NDArray[np.float64], budget: int) -> Pyramid:
    """Leave out tiles until the budget is kept: the estimate may have been too low for this image."""
    complete, tiles = found.complete, dict(found.tiles)
    fine = [place for place in _by_interest(interest_YX) if (found.finest, *place) in tiles]
    total = found.characters
    while total > budget and complete > found.coarsest:
        if fine and complete < found.finest:
            # The least interesting tile of full size goes, with what only it needed above it.
            fine.pop()
            needed = set[Place]().union(*(_above((found.finest, *place), complete) for place in fine))
            gone = [place for place in tiles if place[0] > complete and place not in needed]
        else:
            gone = [place for place in tiles if place[0] >= complete]
            complete, fine = complete - 1, []
        for place in gone:
            total -= len(tiles.pop(place))
    return Pyramid(found.width, found.height, found.coarsest, complete, found.finest, tiles)
