"""An image that is decoded once as a whole: small ones into memory, large ones into a scratch file."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.images.intensity_rule import Intensity
from kit.images.levels import Levels, SampleType, rgb
from kit.images.planes import scratch_map

Samples = NDArray[Any]
IN_MEMORY = 64 << 20
"""Bytes of decoded samples; larger images are decoded into a scratch file, which is mapped."""
_RELEASE_BYTES = 64 << 20
"""Give back the pages of the mapped file after this many bytes."""


@dataclass(frozen=True)
class Decoded:
    """Where samples are decoded to.

    Attributes:
        samples: (rows, columns, channels).
        map: the scratch file behind them; None: they lie in memory.
    """

    samples: Samples
    map: mmap.mmap | None


def room_for(
    path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], *, scratch: Path | None
) -> Decoded:
    """Return an array for an image's samples: in memory, or in a scratch file if it is large.

    Raises:
        KitError: there is no room on the disk, or not enough memory.
    """
    size = math.prod(shape) * dtype.itemsize
    if size <= IN_MEMORY:
        try:
            return Decoded(np.empty(shape, dtype), None)
        except MemoryError as error:
            raise KitError(
                "there is not enough memory to decode the image", where=path, fix="free memory"
            ) from error
    mapped = scratch_map(path, shape[:2], size, scratch)
    return Decoded(np.frombuffer(mapped, dtype).reshape(shape), mapped)


class WholeImage:
    """An open image whose samples are all decoded; bands of it become 8-bit RGB when they are read.

    Args:
        decoded: its samples.
        kind: what they are.
        rule: which become 0 and 255.
        inverted: white and black change places.
        notes: what was left out, cut or assumed.
        turned: turns an array of samples as EXIF's orientation says; None: rows and columns stay as stored.

    Attributes:
        height: rows.
        width: columns.
        notes: what was left out, cut or assumed, one sentence each.
    """

    def __init__(
        self,
        decoded: Decoded,
        kind: SampleType,
        rule: Intensity | None,
        *,
        inverted: bool,
        notes: tuple[str, ...],
        turned: Callable[[Samples], Samples] | None = None,
    ) -> None:
        self._samples: Samples | None = decoded.samples if turned is None else turned(decoded.samples)
        self.height, self.width = int(self._samples.shape[0]), int(self._samples.shape[1])
        self.notes = notes
        self._map = decoded.map
        self._levels = Levels(kind, rule, inverted=inverted, every=lambda: decoded.samples[:, :, :3])
        self._read_bytes = 0

    def read_band(self, y0: int, y1: int) -> NDArray[np.uint8]:
        """Read full-width rows y0..y1 as RGB (y1 - y0, width, 3).

        Raises:
            KitError: memory is too small.
            ValueError: the rows lie outside the image, or it is closed.
        """
        if y0 < 0 or y1 < y0 or y1 > self.height:
            raise ValueError(f"rows {y0} to {y1} of an image of {self.height}")
        if self._samples is None:
            raise ValueError("the image is closed")
        band_HWC = self._samples[y0:y1]
        try:
            out_HWC = rgb(self._levels(band_HWC[:, :, : 1 if band_HWC.shape[2] < 3 else 3]))
        except MemoryError as error:
            raise KitError(
                f"there is not enough memory to read {y1 - y0} rows of {self.width} pixels",
                fix="use fewer workers or a machine with more memory",
            ) from error
        self._read_bytes += band_HWC.nbytes
        if self._map is not None and self._read_bytes > _RELEASE_BYTES:
            self._read_bytes = 0
            self._map.madvise(mmap.MADV_DONTNEED)
        # The caller may write to the band, and must not change the image with it.
        return out_HWC.copy() if np.shares_memory(out_HWC, band_HWC) else out_HWC

    def close(self) -> None:
        """Forget the samples and remove the scratch file."""
        self._samples, self._map = None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
