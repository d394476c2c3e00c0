"""An image that is a folder of slices: each is read when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from kit.images.any_reading import AnyReading


class Slices(Sequence[NDArray[np.uint8]]):
    """Slices in order, RGB uint8 (H, W, 3); they may differ in size.

    `slices[3]` reads the fourth one, `slices[-2:]` makes a list of the last two, `len(slices)` is their
    number. Nothing is kept: memory holds the slices that the caller holds.
    """

    @abstractmethod
    def read(self, number: int) -> NDArray[np.uint8]:
        """Read one slice."""

    @overload
    def __getitem__(self, number: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, number: slice) -> list[NDArray[np.uint8]]: ...

    def __getitem__(self, number: int | slice) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        if isinstance(number, slice):
            return [self.read(place) for place in range(*number.indices(len(self)))]
        return self.read(number)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        # That of `Sequence` would take an IndexError from reading a slice for the end of all.
        return (self.read(number) for number in range(len(self)))

    def mapped(self, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Changed:
        """Return slices of which each is changed when it is read, (H, W, 3) -> (H, W, 3)."""
        return Changed(self, change)


class Volume(Slices):
    """The slices of an image.

    Where one picture stands for the image (thumbnails, the size that tables are compared with), that is its
    middle slice, which `read_band` reads.

    Args:
        reading: of the competition.
        folder: of the slices.
        scratch: folder of scratch files; the system's temporary folder if None.

    Attributes:
        files: of the slices.
        height: rows of the middle slice.
        width: columns of the middle slice.
        notes: what was left out, cut or assumed in the middle slice.

    Raises:
        KitError: the folder is missing, or its middle slice cannot be read.
    """

    def __init__(self, reading: AnyReading, folder: Path, *, scratch: Path | None = None) -> None:
        self._reading, self._scratch = reading, scratch
        self.files = reading.files(folder)
        self._middle = reading.open_slice(self.files[len(self.files) // 2], scratch=scratch)
        self.height, self.width, self.notes = self._middle.height, self._middle.width, self._middle.notes

    def __len__(self) -> int:
        return len(self.files)

    def read(self, number: int) -> NDArray[np.uint8]:
        """Read one slice, (H, W, 3).

        Raises:
            IndexError: there is no such slice.
            KitError: it cannot be read.
        """
        with self._reading.open_slice(self.files[number], scratch=self._scratch) as opened:
            return opened.read_band(0, opened.height)

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Read rows of the middle slice; see `kit.images.whole_image.WholeImage.read_band`."""
        return self._middle.read_band(y0, y1)

    def close(self) -> None:
        """Close the middle slice."""
        self._middle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Changed(Slices):
    """Slices, each changed when it is read.

    Args:
        slices: what is read.
        change: what is done to each, (H, W, 3) -> (H, W, 3).
    """

    def __init__(self, slices: Slices, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
        self._slices, self._change = slices, change

    def __len__(self) -> int:
        return len(self._slices)

    def read(self, number: int) -> NDArray[np.uint8]:
        """Read one slice and change it; errors as of the slices that are read."""
        return self._change(self._slices[number])
