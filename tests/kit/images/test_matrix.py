"""Every layout, pixel for pixel beside tifffile's reading of the whole image."""

from itertools import pairwise, product

import numpy as np
import pytest

from kit.images.slide import open_slide

LAYOUTS = [
    "chunky",
    "planar",
    "planar, singleton axes",
    "three pages",
    "three pages, singleton axes",
    "OME, three pages",
    "a page and two SubIFDs",
]
SEGMENTS = {
    "strips": {"rowsperstrip": 16},
    "single rows": {"rowsperstrip": 1},
    "one strip": {"rowsperstrip": 136},
    "tiles": {"tile": (32, 48)},
    "one tile": {"tile": (144, 112)},
}
CODECS = {
    "raw": {},
    "deflate": {"compression": "deflate"},
    "deflate, differences": {"compression": "deflate", "predictor": True},
    "lzw": {"compression": "lzw"},
    "lzw, differences": {"compression": "lzw", "predictor": True},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
    "zstd, differences": {"compression": "zstd", "predictor": True},
    "jpeg 2000": {"compression": "jpeg2000"},
    "jpeg": {"compression": "jpeg"},
}
FILES = {
    "8 bits": (np.uint8, {}),
    "8 bits, big endian": (np.uint8, {"byteorder": ">"}),
    "16 bits": (np.uint16, {"bigtiff": True}),
    "16 bits, big endian": (np.uint16, {"byteorder": ">"}),
    "16 bits, BigTIFF, big endian": (np.uint16, {"bigtiff": True, "byteorder": ">"}),
}


def in_bands(slide, edges):
    return np.concatenate([slide.read_band(top, bottom) for top, bottom in pairwise(edges)])


def depth(image_HWC, dtype):
    """The image in the depth of `dtype`, its low bytes not those of the 8-bit image."""
    return image_HWC if dtype == np.uint8 else (image_HWC.astype(np.uint16) * 257) ^ 0x5A


def sensible(layout, segments, codec):
    """Single rows are no JPEG; layouts that only differ in their tags need not be tried in every codec."""
    if codec == "jpeg 2000":
        return layout in {"chunky", "planar"} and segments == "tiles"
    if layout in {"planar, singleton axes", "three pages, singleton axes", "OME, three pages"}:
        return codec in {"raw", "lzw, differences"}
    return not (segments == "single rows" and codec == "jpeg")


CASES = [each for each in product(LAYOUTS, SEGMENTS, CODECS) if sensible(*each)]


@pytest.mark.parametrize("case", CASES, ids=" / ".join)
def test_every_layout_gives_the_pixels_that_tifffile_reads(write, oracle, image_HWC, case):
    layout, segments, codec = case
    for dtype, options in FILES.values():
        if codec == "jpeg" and dtype == np.uint16:
            continue
        path = write(depth(image_HWC, dtype), layout, **SEGMENTS[segments], **CODECS[codec], **options)
        stored_HWC = oracle(path)
        assert (stored_HWC.shape, stored_HWC.dtype) == ((131, 97, 3), dtype)
        expected_HWC = stored_HWC if dtype == np.uint8 else (stored_HWC >> 8).astype(np.uint8)
        if codec not in {"jpeg", "jpeg 2000"}:
            assert np.array_equal(expected_HWC, depth(image_HWC, dtype) >> (0 if dtype == np.uint8 else 8))
        for giant in (1 << 30, 1) if segments != "single rows" else (1 << 30,):
            with open_slide(path, giant=giant) as slide:
                bands_HWC = in_bands(slide, [0, 1, 20, 20, 90, 131])
            assert (bands_HWC.dtype, bands_HWC.shape) == (np.uint8, (131, 97, 3))
            assert np.array_equal(bands_HWC, expected_HWC)


def test_jpeg_is_close_to_what_was_written(write, image_HWC):
    for layout in LAYOUTS:
        with open_slide(write(image_HWC, layout, compression="jpeg", tile=(32, 48))) as slide:
            assert np.abs(slide.read_band(0, 131).astype(int) - image_HWC).mean() < 6


@pytest.mark.parametrize("codec", ["raw", "deflate, differences", "lzw"])
@pytest.mark.parametrize("layout", ["chunky", "planar", "three pages"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 100_000), (100_000, 1)])
def test_images_of_one_row_or_column(write, codec, layout, shape):
    line_HWC = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    with open_slide(write(line_HWC, layout, **CODECS[codec])) as slide:
        assert np.array_equal(slide.read_band(0, shape[0]), line_HWC)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_golden_pixel_red_green_blue(write, layout):
    image_HWC = np.zeros((40, 50, 3), np.uint8)
    image_HWC[17, 23] = (201, 102, 53)
    with open_slide(write(image_HWC, layout, rowsperstrip=8, compression="deflate")) as slide:
        assert slide.read_band(17, 18)[0, 23].tolist() == [201, 102, 53]
        assert slide.read_band(16, 19)[1, 23].tolist() == [201, 102, 53]
