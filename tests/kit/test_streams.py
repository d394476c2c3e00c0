import os
import threading

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from kit import streams
from kit.errors import KitError
from kit.images.slide import open_slide
from kit.streams import STREAMS, Streams

SIZE = 5000
DATA = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8).tobytes()
parts_of_a_file = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, SIZE - 1), st.integers(1, 700)), max_size=40
)
reads_of_a_file = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 900)), max_size=40)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "file"
    path.write_bytes(DATA)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@given(parts=parts_of_a_file, reads=reads_of_a_file)
def test_the_bytes_are_those_of_the_file_whatever_was_announced(opened, parts, reads):
    of_file = Streams(opened)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams, "PIECE", 256)
            patch.setattr(streams, "_GAP", 16)
            of_file.expect(parts)
        for offset, count in reads:
            assert of_file.read(offset, count) == DATA[offset : offset + count]
    finally:
        of_file.close()


def test_threads_far_from_each_other_read_ahead_each_and_little_is_held(opened, monkeypatch):
    monkeypatch.setattr(streams, "PIECE", 4)
    of_file, found, pread = Streams(opened), [], os.pread

    def counting(handle, count, offset):
        found.append(offset)
        return pread(handle, count, offset)

    monkeypatch.setattr(os, "pread", counting)
    of_file.expect([(0, 0, SIZE)])
    for step in range(0, SIZE // 5, 4):
        for begin in range(0, SIZE, SIZE // 5):
            assert of_file.read(begin + step, 4) == DATA[begin + step : begin + step + 4]
            assert len(of_file._held) <= 5 * (streams._BEHIND + 3 * STREAMS)
    of_file.close()
    # Only where one comes near the place at which another began, some pieces were read by both.
    assert SIZE // 4 == len(set(found)) <= len(found) <= SIZE // 4 + 4 * 2 * STREAMS


@pytest.fixture
def slide(tmp_path):
    """Write a slide of random pixels, which no codec makes smaller."""
    pixels_HWC = np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), np.uint8)

    def write(**options):
        tifffile.imwrite(tmp_path / "slide.tif", pixels_HWC, photometric="rgb", **options)
        return tmp_path / "slide.tif", pixels_HWC

    return write


@pytest.fixture
def read_sizes(monkeypatch):
    """Bytes of every read from now on."""
    found, pread = [], os.pread

    def counting(*arguments):
        data = pread(*arguments)
        found.append(len(data))
        return data

    monkeypatch.setattr(streams, "PIECE", 1 << 17)
    monkeypatch.setattr(os, "pread", counting)
    return found


LAYOUTS = [
    {"rowsperstrip": 64},
    {"rowsperstrip": 2000},
    {"tile": (256, 256)},
    {"tile": (256, 256), "compression": "deflate"},
    {"rowsperstrip": 64, "compression": "lzw"},
    {"rowsperstrip": 2000, "compression": "deflate"},
]


@pytest.mark.parametrize(
    ("options", "giant"), [(options, 1 << 30) for options in LAYOUTS] + [(LAYOUTS[-1], 1)], ids=str
)
def test_bands_read_each_byte_of_a_slide_once(slide, read_sizes, options, giant):
    path, pixels_HWC = slide(**options)
    with open_slide(path, giant=giant, threads=3) as opened:
        read_sizes.clear()  # of the header
        for top in range(0, 2000, 100):
            assert np.array_equal(opened.read_band(top, top + 100), pixels_HWC[top : top + 100])
    assert sum(read_sizes) <= path.stat().st_size + 2 * len(read_sizes) * streams._GAP
    assert max(read_sizes) <= 1 << 17


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_a_slide_is_read_with_sixteen_streams_by_a_single_decoding_thread(slide, monkeypatch, options):
    path, pixels_HWC = slide(**options)
    pread, meeting = os.pread, threading.Barrier(STREAMS, timeout=600)
    passed = threading.Event()

    def together(*arguments):
        if threading.current_thread().name.startswith("stream") and not passed.is_set():
            meeting.wait()  # no read ends before sixteen have begun
            passed.set()
        return pread(*arguments)

    monkeypatch.setattr(streams, "PIECE", 1 << 17)
    monkeypatch.setattr(os, "pread", together)
    with open_slide(path, giant=1 << 30, threads=1) as opened:
        assert np.array_equal(opened.read_band(0, 10), pixels_HWC[:10])
    assert passed.is_set()


@pytest.mark.parametrize("options", [LAYOUTS[0], LAYOUTS[3]], ids=str)
def test_a_part_that_cannot_be_read_is_an_error_of_its_segment_alone(slide, monkeypatch, options):
    path, pixels_HWC = slide(**options)
    pread, size = os.pread, path.stat().st_size

    def broken(handle, count, offset):
        if offset + count > size - (1 << 18):
            raise OSError(5, "Input/output error")
        return pread(handle, count, offset)

    with open_slide(path) as opened:
        monkeypatch.setattr(os, "pread", broken)
        assert np.array_equal(opened.read_band(0, 500), pixels_HWC[:500])
        with pytest.raises(KitError, match=r"(strip|tile) \d+ cannot be decoded: .*Input/output error"):
            opened.read_band(1900, 2000)


def test_closing_ends_the_threads(slide):
    path, _ = slide(rowsperstrip=64)
    with open_slide(path) as opened:
        opened.read_band(0, 64)
        assert [thread for thread in threading.enumerate() if thread.name.startswith("stream")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stream")]
