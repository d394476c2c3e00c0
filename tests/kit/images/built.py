"""TIFFs written tag by tag, so that any tag may be wrong or missing."""

import struct

import imagecodecs
import numpy as np

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_SIZES = 273, 277, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 322, 323, 324, 325
ENCODERS = {
    1: lambda array: array.tobytes(),
    5: lambda array: imagecodecs.lzw_encode(array.tobytes()),
    7: lambda array: imagecodecs.jpeg8_encode(array, level=95),
    8: lambda array: imagecodecs.zlib_encode(array.tobytes()),
    32773: lambda array: imagecodecs.packbits_encode(array.tobytes()),
    34712: lambda array: imagecodecs.jpeg2k_encode(array, level=0, codecformat="j2k"),
    34887: imagecodecs.lerc_encode,
    34925: lambda array: imagecodecs.lzma_encode(array.tobytes()),
    34933: imagecodecs.png_encode,
    34934: lambda array: imagecodecs.jpegxr_encode(array, level=1.0),
    50000: lambda array: imagecodecs.zstd_encode(array.tobytes()),
    50001: lambda array: imagecodecs.webp_encode(array, lossless=True),
    50002: lambda array: imagecodecs.jpegxl_encode(array, lossless=True, effort=1),
}
JPEG = 7


def pieces_of(image_HWC, rows, tile):
    """The image's strips, or its tiles in full size."""
    height, width, _ = image_HWC.shape
    if tile is None:
        return [image_HWC[top : top + rows] for top in range(0, height, rows)]
    whole = np.pad(image_HWC, ((0, -height % tile[0]), (0, -width % tile[1]), (0, 0)))
    return [
        np.ascontiguousarray(whole[top : top + tile[0], left : left + tile[1]])
        for top in range(0, height, tile[0])
        for left in range(0, width, tile[1])
    ]


def unchanged(tags):
    """Leave the tags as they are."""


def build(image_HWC, *, rows=50, tile=None, codec=1, change=unchanged, following=0, stored=None):
    """The bytes of a TIFF of one page.

    Args:
        image_HWC: 8 or 16 bits.
        rows: of a strip.
        tile: rows and columns of a tile, instead of strips.
        codec: TIFF's number.
        change: is given the tags, number -> list of values, and may do anything to them.
        following: offset of the next directory.
        stored: the pieces, instead of the image's.
    """
    height, width, channels = image_HWC.shape
    if stored is None:
        stored = [ENCODERS[codec](piece) for piece in pieces_of(image_HWC, rows, tile)]
    data, offsets = b"II*\0\0\0\0\0", []
    for piece in stored:
        offsets.append(len(data))
        data += piece
    sizes = [len(piece) for piece in stored]
    tags = {WIDTH: [width], HEIGHT: [height], BITS: [image_HWC.itemsize * 8] * channels, COMPRESSION: [codec]}
    tags |= {PHOTOMETRIC: [6 if codec == JPEG else 2 if channels > 2 else 1], SAMPLES: [channels]}
    if tile is None:
        tags |= {STRIP_OFFSETS: offsets, ROWS: [rows], STRIP_SIZES: sizes}
    else:
        tags |= {TILE_WIDTH: [tile[1]], TILE_HEIGHT: [tile[0]], TILE_OFFSETS: offsets, TILE_SIZES: sizes}
    change(tags)
    return with_tags(data, tags, following)


def with_tags(data, tags, following=0):
    """Append a directory, whose values come first, and point the header to it."""
    entries = b""
    for number, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(packed) > 4:
            data, packed = data + packed, struct.pack("<I", len(data))
        entries += struct.pack("<HHI", number, 4, len(values)) + packed.ljust(4, b"\0")
    data = data[:4] + struct.pack("<I", len(data)) + data[8:]
    return data + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
