"""LZW by libtiff, whose decoder takes two thirds of the time that imagecodecs' own takes.

libtiff wants files, so a strip or tile is handed over as a TIFF of its own: a few tags and the stored bytes.
Differences are undone and bytes are swapped on the way, row by row, while they are in the cache.
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
        file: what `head` gave and the stored bytes behind it.
        out_HWC: contiguous, filled with samples in the machine's byte order.

    Returns:
        Whether libtiff decoded all of it. If not, some other decoder may, or tell what is wrong.
    """
    import imagecodecs

    decoders: Any = imagecodecs
    try:
        decoders.tiff_decode(file, out=out_HWC.squeeze())
    except Exception:  # noqa: BLE001  # classes of imagecodecs' own
        return False
    return True


def head(count: int, out_HWC: Samples, predictor: int, byteorder: str) -> bytes:
    """What makes a TIFF of a strip or tile.

    Args:
        count: stored bytes that will follow.
        out_HWC: of the size and depth of the samples.
        predictor: TIFF's number, 1 or 2.
        byteorder: of the samples, "little" or "big".
    """
    order = "<" if byteorder == "little" else ">"
    before, behind = _around_count(out_HWC.shape, 8 * out_HWC.itemsize, predictor, order)
    return before + struct.pack(order + "I", count) + behind


@lru_cache(maxsize=64)
def _around_count(shape: tuple[int, ...], bits: int, predictor: int, order: str) -> tuple[bytes, bytes]:
    """A head up to where the number of stored bytes stands, and the rest of it."""
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
    for number, kind, told in tags:
        head += struct.pack(order + "HHI", number, kind, 1)
        place = len(head) if number == 279 else place
        value = start if number == 273 else told
        head += struct.pack(order + "I", value) if kind == _LONG else struct.pack(order + "HH", value, 0)
    head += bytes(4)
    return head[:place], head[place + 4 :]
