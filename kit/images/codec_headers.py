"""Read from the first bytes of a coded image how large a decoder would make it."""

from __future__ import annotations

import struct

_SIZ = b"\xff\x4f\xff\x51"
"""Begins the codestream of every JPEG 2000."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of frames."""
_SCAN, _FILL = 0xDA, 0xFF


def jpeg_shape(data: bytes | memoryview) -> tuple[int, int, int] | None:
    """Return rows, columns and channels in the frame header of a JPEG, None if it has none.

    256 x 300 RGB pixels: FF C0 00 11 08 01 00 01 2C 03 (marker, 17 bytes, 8 bits, 256, 300, 3). (ISO 10918-1,
    B.2.2.)
    """
    place = 2
    while place + 10 <= len(data) and data[place] == _FILL and data[place + 1] != _SCAN:
        if data[place + 1] in _FRAMES:
            rows, columns, channels = struct.unpack_from(">HHB", data, place + 5)
            return rows, columns, channels
        # Any number of bytes FF may stand before a marker.
        filled = data[place + 1] == _FILL
        place += 1 if filled else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def jpeg2000_shape(data: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and channels of a JPEG 2000 (ISO 15444-1, A.5.1), None if it does not say them."""
    start = data.find(_SIZ)
    if start < 0 or start + 42 > len(data):
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    (channels,) = struct.unpack_from(">H", data, start + 40)
    return bottom - top, right - left, channels
