"""LZW by libtiff's decoder, which imagecodecs reaches through `tiff_decode` alone.

libtiff takes whole files, so each strip or tile is handed over as a small TIFF in memory: the bytes that
`head` makes, then the stored bytes. libtiff undoes differences and swaps bytes on the way.

`imagecodecs.lzw_decode`, the direct way, takes 1.56 to 1.75 times as long for strips of 64 rows and tiles of
256 and 512, with and without differences, 8 and 16 bits, and 1.24 times for strips of one row (medians of 7
rounds in turns, one thread, imagecodecs of the lock file). Slides would be read more slowly than by rasterio.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHORT, _LONG = 3, 4
_GRAY, _RGB = 1, 2


Samples = NDArray[np.uint8] | NDArray[np.uint16]


def decode(file: memoryview, out_HWC: Samples) -> bool:
    """Decode a strip or tile.

    Args:
        file: the bytes of `head`, then the stored bytes.
        out_HWC: contiguous; gets samples in the machine's byte order.

    Returns:
        Whether libtiff decoded all of it. If not, try `imagecodecs.lzw_decode`: it may succeed, or say what
        is wrong.
    """
    import imagecodecs

    decoders: Any = imagecodecs
    try:
        decoders.tiff_decode(file, out=out_HWC.squeeze())
    except Exception:  # noqa: BLE001  # classes of imagecodecs' own
        return False
    return True


def head(count: int, out_HWC: Samples, predictor: int, byteorder: str) -> bytes:
    """Return the bytes that make a TIFF of the stored bytes behind them.

    Args:
        count: stored bytes.
        out_HWC: any array of the samples' shape and depth.
        predictor: TIFF's number, 1 or 2.
        byteorder: of the samples, "little" or "big".
    """
    order = "<" if byteorder == "little" else ">"
    before, behind = _around_count(out_HWC.shape, 8 * out_HWC.itemsize, predictor, order)
    return before + struct.pack(order + "I", count) + behind


@lru_cache(maxsize=64)
def _around_count(shape: tuple[int, ...], bits: int, predictor: int, order: str) -> tuple[bytes, bytes]:
    """Return the head up to the value of tag 279 (StripByteCounts), and what comes after that value."""
    # 0    II, 42, 8: byte order, magic number, where the list of tags begins
    # 8    11, then 11 tags of 12 bytes: number, type, one value, the value itself
    # 142  0: no further page
    # 146  the stored bytes, where tag 273 (StripOffsets) points to
    rows, columns, channels = shape
    tags = (
        (256, _LONG, columns),
        (257, _LONG, rows),
        (258, _SHORT, bits),
        (259, _SHORT, 5),
        (262, _SHORT, _GRAY if channels < 3 else _RGB),
        (273, _LONG, 0),
        (277, _SHORT, channels),
        (278, _LONG, rows),
        (279, _LONG, 0),
        (284, _SHORT, 1),
        (317, _SHORT, predictor),
    )
    start = 8 + 2 + 12 * len(tags) + 4
    head = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags))
    place = 0
    for number, kind, fixed in tags:
        head += struct.pack(order + "HHI", number, kind, 1)
        place = len(head) if number == 279 else place
        value = start if number == 273 else fixed
        head += struct.pack(order + "I", value) if kind == _LONG else struct.pack(order + "HH", value, 0)
    head += bytes(4)
    return head[:place], head[place + 4 :]
