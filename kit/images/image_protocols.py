"""What an open image and the reader of image files look like; for type checkers, predict.py does without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from kit.images.reading import Facts


class OpenImage(Protocol):
    """An open image; `kit.images.slide.Slide` is one."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is left out, cut or assumed, one sentence each."""

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Return the RGB rows y0..y1, uint8 (y1 - y0, width, 3)."""

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        """Return the image."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""


class Reading(Protocol):
    """Reads the image files of a competition; another process may get a copy of it."""

    def facts(self, path: Path) -> Facts:
        """Return what a file's header tells; needs the standard library alone.

        Raises:
            KitError: the file is missing, damaged, or its pixels cannot become 8-bit RGB.
        """

    def open(self, path: Path, *, scratch: Path | None = None) -> OpenImage:
        """Open an image.

        Args:
            path: the file, or the folder of slices.
            scratch: folder of scratch files; the system's temporary folder if None.

        Raises:
            KitError: as `facts`, or a library for the pixels is missing.
        """
