"""How large a coded image is, and how it was held, from its first bytes."""

import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.images.codec_headers import jpeg2000_shape, jpeg_shape
from kit.images.exif import orientation_of

sides = st.integers(1, 40)


@given(sides, sides, st.sampled_from([1, 3]), st.integers(0, 5))
def test_a_jpeg_tells_its_shape_whatever_stands_before_the_frame(rows, columns, channels, filled):
    shape = (rows, columns, channels) if channels > 1 else (rows, columns)
    data = imagecodecs.jpeg8_encode(np.zeros(shape, np.uint8))
    assert jpeg_shape(data) == (rows, columns, channels)
    assert jpeg_shape(data[:2] + b"\xff" * filled + data[2:]) == (rows, columns, channels)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda" + bytes(40), b"no JPEG at all, only a text"]
)
def test_without_a_frame_nothing_is_told(data):
    assert jpeg_shape(data) is None
    assert jpeg2000_shape(data) is None


@given(sides, sides, st.sampled_from([1, 3]))
def test_a_jpeg_2000_tells_its_shape_unless_it_is_cut(rows, columns, channels):
    shape = (rows, columns, channels) if channels > 1 else (rows, columns)
    data = imagecodecs.jpeg2k_encode(np.zeros(shape, np.uint8))
    assert jpeg2000_shape(data) == (rows, columns, channels)
    assert jpeg2000_shape(data[: data.find(b"\xff\x4f\xff\x51") + 20]) is None


def exif(order, *tags):
    begin = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    entries = b"".join(struct.pack(f"{order}HHIHH", tag, kind, 1, value, 0) for tag, kind, value in tags)
    return begin + struct.pack(f"{order}H", len(tags)) + entries


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ([(0x0112, 3, 6)], 6),
        ([(0x0100, 3, 8), (0x0112, 3, 8)], 8),
        ([(0x0112, 3, 9)], 1),
        ([(0x0112, 4, 6)], 1),
        ([(0x0100, 3, 6)], 1),
        ([], 1),
    ],
)
def test_the_orientation_is_the_one_of_its_tag(order, tags, told):
    assert orientation_of(exif(order, *tags)) == told


@given(st.binary(max_size=30))
def test_damaged_data_tell_no_orientation(data):
    assert orientation_of(b"XX" + data) == 1
    assert 1 <= orientation_of(b"II" + data) <= 8
    assert orientation_of(exif("<", (0x0112, 3, 6))[:14]) == 1
