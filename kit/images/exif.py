"""Read from EXIF data how a camera was held."""

from __future__ import annotations

import struct

_ORIENTATION, _SHORT = 0x0112, 3
_MOST = 1000


def orientation_of(data: bytes) -> int:
    """Return the orientation, 1 to 8, that EXIF data tells; 1 (as stored) if it tells none.

    Args:
        data: a TIFF without pixels: byte order, 42, offset of the directory, its tags (EXIF 2.32, 4.5.2).
    """
    # II 42 8 | 1 tag | 0x0112 short 1 value 6 | 0: hold the camera's right side up, rotate by 90 degrees.
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    try:
        if order is None:
            return 1
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for number in range(min(count, _MOST)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * number)
            if (tag, kind) == (_ORIENTATION, _SHORT):
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass  # cut short or damaged: nothing is told
    return 1
