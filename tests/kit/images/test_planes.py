import os
from contextlib import contextmanager

import numpy as np
import pytest

from kit.errors import KitError
from kit.images.codecs import Codec, OpenFile
from kit.images.header import read_header
from kit.images.planes import DecodedSegments, Plane, RawSegments, ScratchSegments, open_plane
from kit.images.slide import open_slide
from kit.streams import Streams


class Counting(Codec):
    """Notes which segments are decoded."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.decoded = []

    def decode(self, number, *, keep=True):
        self.decoded.append(number)
        return super().decode(number, keep=keep)


@contextmanager
def opened(path):
    header = read_header(path)
    descriptor = os.open(path, os.O_RDONLY)
    yield OpenFile(path, descriptor, Streams(descriptor), header.byteorder), header
    os.close(descriptor)


@pytest.mark.parametrize("layout", ["chunky", "planar", "three pages"])
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, RawSegments),
        ({"tile": (32, 48)}, RawSegments),
        ({"compression": "deflate"}, DecodedSegments),
        ({"compression": "deflate", "rowsperstrip": 136}, ScratchSegments),
    ],
    ids=["raw strips", "raw tiles", "small strips", "huge strip"],
)
def test_the_cheapest_way_is_taken(write, image_HWC, layout, options, kind):
    path = write(image_HWC, layout, **{"rowsperstrip": 16} | options)
    giant = 131 * 97
    with opened(path) as (file, header):
        plane = open_plane(file, header.parts[0], 0, keep=0, giant=giant, scratch=None)
        assert type(plane.segments) is kind


def test_raw_rows_behind_each_other_are_one_piece(write, image_HWC):
    with opened(write(image_HWC, rowsperstrip=16)) as (file, header):
        plane = open_plane(file, header.parts[0], 0, keep=0, giant=1, scratch=None)
        assert plane.segments.page.segment == (131, 97)
        rows_HWC = plane.get(10, 0, 100, 97)
        assert np.array_equal(rows_HWC, image_HWC[10:110])
        assert not rows_HWC.flags.owndata


def test_overlapping_bands_decode_nothing_twice(write, image_HWC):
    with opened(write(image_HWC, rowsperstrip=32, compression="deflate")) as (file, header):
        codec = Counting(file, header.parts[0], 0)
        plane = Plane(DecodedSegments(codec, 1 << 20))
        for top in range(0, 112, 10):
            plane.segments.forget(top)
            assert np.array_equal(plane.get(top, 0, 20, 97), image_HWC[top : top + 20])
        assert codec.decoded == [0, 1, 2, 3, 4]


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(write, image_HWC):
    with opened(write(image_HWC, rowsperstrip=32, compression="deflate")) as (file, header):
        codec = Counting(file, header.parts[0], 0)
        segments = DecodedSegments(codec, 2 * 32 * 97 * 3)
        for number in (0, 1, 0, 2, 0, 1):
            segments.get(number, complete=False)
        assert codec.decoded == [0, 1, 2, 1]
        segments.get(3, complete=True)
        segments.get(3, complete=True)
        assert codec.decoded[4:] == [3, 3]
        smallest = DecodedSegments(codec, 0)
        smallest.get(0, complete=False)
        smallest.get(0, complete=False)
        assert codec.decoded[6:] == [0]


def test_what_lies_above_the_window_is_dropped(write, image_HWC):
    with opened(write(image_HWC, tile=(32, 48), compression="deflate")) as (file, header):
        codec = Counting(file, header.parts[0], 0)
        plane = Plane(DecodedSegments(codec, 1 << 20))
        plane.get(0, 0, 40, 40)
        plane.segments.forget(32)
        plane.get(20, 0, 20, 40)
        assert codec.decoded == [0, 3, 0]


def test_scratch_files_are_nameless_and_hold_what_was_decoded_once(write, image_HWC, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = write(image_HWC, "planar", rowsperstrip=50, compression="lzw", predictor=True)
    with open_slide(path, scratch=scratch, giant=1) as slide:
        first_HWC = slide.read_band(0, 40)
        assert not list(scratch.iterdir()), "nothing may be left behind, even by a kill"
        path.write_bytes(bytes(path.stat().st_size))
        assert np.array_equal(slide.read_band(0, 50)[:40], first_HWC)
        with pytest.raises(KitError, match="strip 1 cannot be decoded"):
            slide.read_band(0, 60)


def test_no_room_for_the_scratch_file_names_the_folder_and_the_space(write, image_HWC, tmp_path):
    gone = tmp_path / "gone"
    path = write(image_HWC, compression="deflate")
    with open_slide(path, scratch=gone, giant=1) as slide, pytest.raises(KitError) as caught:
        slide.read_band(0, 1)
    assert f"no room to decode the 131 x 97 pixels of {path}" in str(caught.value)
    assert str(gone) in str(caught.value)
    assert "set TMPDIR to a larger disk" in str(caught.value)
