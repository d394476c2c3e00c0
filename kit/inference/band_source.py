"""What both engines need of an image: bands of rows. `kit.images.slide.Slide` is one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError


class BandSource(Protocol):
    """What the engines need of an image; `kit.images.slide.Slide` is one."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Return the RGB rows y0..y1, uint8 (y1 - y0, width, 3)."""


def require_pixels(source: BandSource, where: str) -> None:
    """Refuse an image without pixels.

    Raises:
        KitError: height or width is zero.
    """
    if source.height < 1 or source.width < 1:
        raise KitError(
            f"image has no pixels: {source.height} x {source.width}",
            where=where,
            fix="download the image again; its header gives a size of zero",
        )
