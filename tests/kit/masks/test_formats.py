"""Every text a submission may carry, read by decoders that are not ours: a plain loop and pycocotools."""

import base64
import zlib

import numpy as np
import pytest
from pycocotools import mask as pycocotools

from kit.masks import coco, rle


def spots(height, width, *pixels):
    mask_HW = np.zeros((height, width), bool)
    for y, x in pixels:
        mask_HW[y, x] = True
    return mask_HW


def ellipse(height, width):
    y, x = np.ogrid[:height, :width]
    return ((y - height / 2) / height) ** 2 + ((x - width / 2) / width) ** 2 < 0.1


MASKS = {
    "1 x 1 empty": spots(1, 1),
    "1 x 1 full": spots(1, 1, (0, 0)),
    "one row, empty": spots(1, 100_000),
    "one row, full": ~spots(1, 100_000),
    "one row, both ends": spots(1, 100_000, (0, 0), (0, -1)),
    "one row, noise": np.random.default_rng(1).random((1, 100_000)) < 0.5,
    "one column, full": ~spots(100_000, 1),
    "one column, both ends": spots(100_000, 1, (0, 0), (-1, 0)),
    "one column, noise": np.random.default_rng(2).random((100_000, 1)) < 0.5,
    "corners": spots(37, 53, (0, 0), (0, -1), (-1, 0), (-1, -1)),
    "all but corners": ~spots(37, 53, (0, 0), (0, -1), (-1, 0), (-1, -1)),
    "last pixel": spots(37, 53, (-1, -1)),
    "runs over column borders": np.roll(~spots(40, 64), 20, axis=0) & (np.arange(64) % 16 < 12),
    "ellipse": ellipse(301, 403),
    "ellipse, larger than a block": ellipse(1031, 2049),
    "noise, larger than a block": np.random.default_rng(3).random((1031, 2049)) < 0.5,
    "texture, larger than a block": np.random.default_rng(4).random((1031, 2049)) < 0.02,
}


@pytest.fixture(params=MASKS, scope="module")
def mask_HW(request):
    return MASKS[request.param]


def loop_decode(text, height, width, first, order):
    """As a competitor would read it: split, count, slice."""
    flat = np.zeros(height * width, bool)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
        assert length > 0
        assert start - first >= 0
        assert not flat[start - first : start - first + length].any()
        assert start - first + length <= height * width
        flat[start - first : start - first + length] = True
    return flat.reshape((height, width), order=order)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("by_rows", [False, True], ids=["columns", "rows"])
def test_pairs_are_read_alike_by_a_plain_loop_and_by_us(mask_HW, first, by_rows):
    size = mask_HW.shape
    runs = rle.encode(mask_HW)
    text = rle.to_kaggle(rle.transposed(runs, *size) if by_rows else runs, first=first)
    assert np.array_equal(loop_decode(text, *size, first, "C" if by_rows else "F"), mask_HW)
    read = rle.from_kaggle(text, *size, where="row 1", first=first, by_rows=by_rows)
    assert np.array_equal(read, runs)
    assert np.array_equal(rle.decode(read, *size), mask_HW)


def test_coco_counts_are_read_alike_by_pycocotools_and_by_us(mask_HW):
    height, width = mask_HW.shape
    text = coco.pack(coco.encode(mask_HW))
    counts = zlib.decompress(base64.b64decode(text))
    decoded_HW = pycocotools.decode({"size": [height, width], "counts": counts})
    assert np.array_equal(decoded_HW.astype(bool), mask_HW)
    theirs = pycocotools.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"]
    assert counts == theirs
    assert np.array_equal(coco.decode(coco.unpack(text, where="row 1"), height, width), mask_HW)


@pytest.mark.parametrize("rows", [1, 7, 500])
def test_bands_give_what_the_whole_gives(mask_HW, rows):
    encoder = rle.RunLengthEncoder(mask_HW.shape[1])
    band = max(rows, len(mask_HW) // 2000)
    for top in range(0, len(mask_HW), band):
        encoder.push(mask_HW[top : top + band])
    assert np.array_equal(encoder.finish(), rle.encode(mask_HW))


@pytest.mark.parametrize("layout", ["fortran", "strided", "bytes", "fortran bytes", "upside down"])
def test_the_mask_s_layout_in_memory_does_not_matter(mask_HW, layout):
    given_HW = {
        "fortran": lambda: np.asfortranarray(mask_HW),
        "strided": lambda: np.repeat(mask_HW, 2, axis=1)[:, ::2],
        "bytes": lambda: mask_HW * np.uint8(255),
        "fortran bytes": lambda: np.asfortranarray(mask_HW * np.uint8(255)),
        "upside down": lambda: mask_HW[::-1].copy()[::-1],
    }[layout]()
    assert np.array_equal(rle.encode(given_HW), rle.encode(mask_HW))
