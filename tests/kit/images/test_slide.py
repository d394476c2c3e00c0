import subprocess
import sys
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.images import rasters
from kit.images.slide import open_slide, reflected

SAMPLE = Path(__file__).parents[3] / "sample"
LAYOUTS = ["chunky", "planar", "planar, singleton axes", "three pages", "three pages, singleton axes"]
SEGMENTS = {
    "strips": {"rowsperstrip": 16},
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
    "jpeg": {"compression": "jpeg"},
}


PLACES = list(product(["chunky", "planar", "three pages"], SEGMENTS))


def in_bands(slide, edges):
    return np.concatenate([slide.read_band(top, bottom) for top, bottom in pairwise(edges)])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("codec", CODECS)
def test_every_layout_gives_the_same_rgb_pixels(write, image_HWC, layout, segments, codec):
    path = write(image_HWC, layout, **SEGMENTS[segments], **CODECS[codec])
    with open_slide(path) as slide:
        bands_HWC = in_bands(slide, [0, 1, 20, 20, 90, 131])
        window_HWC = slide.read_window(30, 40, 50, 57)
        assert (slide.height, slide.width) == (131, 97)
    assert (bands_HWC.dtype, bands_HWC.shape) == (np.uint8, (131, 97, 3))
    if codec == "jpeg":
        stored = tifffile.imread(path).squeeze()
        expected_HWC = np.moveaxis(stored, 0, 2) if len(stored) == 3 else stored
        assert np.abs(expected_HWC.astype(int) - image_HWC).mean() < 6
    else:
        expected_HWC = image_HWC
    assert np.array_equal(bands_HWC, expected_HWC)
    assert np.array_equal(window_HWC, expected_HWC[30:80, 40:97])


@pytest.mark.parametrize("path", sorted((SAMPLE / "kidney").glob("*/*.tif*")), ids=lambda path: path.stem)
def test_the_sample_slides_are_read_as_tifffile_reads_them(path):
    stored = tifffile.imread(path).squeeze()
    with open_slide(path) as slide:
        band_HWC = slide.read_band(0, slide.height)
    assert np.array_equal(band_HWC, np.moveaxis(stored, 0, 2) if len(stored) == 3 else stored)


@pytest.mark.parametrize(
    "options", [{"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}]
)
@pytest.mark.parametrize("codec", ["raw", "lzw, differences"])
def test_bigtiff_and_big_endian_are_read(write, image_HWC, options, codec):
    with open_slide(write(image_HWC, rowsperstrip=16, **options, **CODECS[codec])) as slide:
        assert np.array_equal(slide.read_band(0, 131), image_HWC)


@pytest.fixture(params=[name for name in CODECS if name != "raw"])
def coded(request):
    """Options of every codec that compresses."""
    return CODECS[request.param]


@pytest.mark.parametrize("stored", PLACES, ids=", ".join)
def test_huge_pieces_are_decoded_once_to_scratch(write, image_HWC, stored, coded, monkeypatch):
    layout, segments = stored
    path = write(image_HWC, layout, **SEGMENTS[segments], **coded)
    with open_slide(path) as slide:
        expected_HWC = slide.read_band(0, 131)
    monkeypatch.setattr(rasters, "GIANT_BYTES", 1)
    monkeypatch.setattr(rasters, "_CHUNK", 100)
    scratch = path.parent / "scratch"
    scratch.mkdir()
    with open_slide(path, scratch=scratch) as slide:
        assert {type(raster) for raster in slide._rasters} == {rasters.ScratchRaster}
        assert np.array_equal(in_bands(slide, [0, 50, 131]), expected_HWC)
        assert not list(scratch.iterdir())  # nameless: nothing is left behind even by a kill


def test_raw_contiguous_files_are_mapped_and_scattered_ones_are_not(write, image_HWC):
    for layout in LAYOUTS:
        with open_slide(write(image_HWC, layout, rowsperstrip=16)) as slide:
            assert {type(raster) for raster in slide._rasters} == {rasters.MappedRaster}
    path = write(image_HWC, rowsperstrip=66)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        first, second = tiff.pages.first.dataoffsets
        first_size = tiff.pages.first.databytecounts[0]
        end = path.stat().st_size
        tiff.pages.first.tags["StripOffsets"].overwrite((end, second))
    data = path.read_bytes()
    path.write_bytes(data + data[first : first + first_size])
    with open_slide(path) as slide:
        assert {type(raster) for raster in slide._rasters} == {rasters.SegmentRaster}
        assert np.array_equal(slide.read_band(0, 131), image_HWC)


def test_consecutive_bands_decode_nothing_twice(write, image_HWC, monkeypatch):
    decoded = []
    decode = rasters.Segments.decode
    monkeypatch.setattr(rasters.Segments, "decode", lambda self, n: decoded.append(n) or decode(self, n))
    with open_slide(write(image_HWC, tile=(32, 48), compression="deflate")) as slide:
        for top in range(0, 131, 10):
            slide.read_band(max(0, top - 5), min(131, top + 15))
    assert sorted(decoded) == list(range(5 * 3))


def test_the_cache_lets_go_of_the_oldest_and_keeps_at_least_one():
    cache = rasters.SegmentCache(250)
    made = []

    def decode(number):
        made.append(number)
        return np.full(100, number, np.uint8)

    for number in (1, 2, 1, 3, 1, 2):
        assert cache.get(number, decode)[0] == number
    assert made == [1, 2, 3, 2]
    tiny = rasters.SegmentCache(1)
    assert tiny.get(5, decode)[0] == tiny.get(5, decode)[0] == 5
    assert made[4:] == [5]


@given(st.integers(-40, 40), st.integers(0, 60), st.integers(1, 12))
def test_mirrored_indices_equal_numpys_reflection(start, count, size):
    far = 101
    padded = np.pad(np.arange(size), (far, far), mode="reflect")
    assert np.array_equal(reflected(start, count, size), padded[far + start : far + start + count])


@pytest.mark.parametrize(
    "window", [(-7, -9, 20, 20), (120, 90, 30, 30), (-300, -300, 900, 900), (131, 97, 4, 4), (-5, 10, 3, 3)]
)
def test_windows_beyond_the_border_are_mirrored(write, image_HWC, window):
    y0, x0, h, w = window
    padded_HWC = np.pad(image_HWC, ((700, 700), (700, 700), (0, 0)), mode="reflect")
    with open_slide(write(image_HWC, tile=(32, 48), compression="deflate")) as slide:
        window_HWC = slide.read_window(y0, x0, h, w)
    assert np.array_equal(window_HWC, padded_HWC[700 + y0 : 700 + y0 + h, 700 + x0 : 700 + x0 + w])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
def test_images_of_one_row_or_column_are_read_and_mirrored(write, shape):
    line_HWC = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
    with open_slide(write(line_HWC)) as slide:
        assert np.array_equal(slide.read_band(0, shape[0]), line_HWC)
        assert slide.read_window(-2, -2, 10, 10).shape == (10, 10, 3)


def test_alpha_is_left_out_and_said(tmp_path, image_HWC):
    path = tmp_path / "alpha.tif"
    alpha_HW1 = np.full((131, 97, 1), 9, np.uint8)
    for planar in ("contig", "separate"):
        rgba_HWC = np.concatenate([image_HWC, alpha_HW1], axis=2)
        stored = rgba_HWC if planar == "contig" else np.moveaxis(rgba_HWC, 2, 0)
        kinds = {"photometric": "rgb", "planarconfig": planar, "extrasamples": ["unassalpha"]}
        tifffile.imwrite(path, stored, compression="deflate", **kinds)
        with open_slide(path) as slide:
            assert np.array_equal(slide.read_band(0, 131), image_HWC)
            assert slide.notes == ["its fourth channel (alpha) is left out"]


def test_pyramids_are_read_at_full_resolution(tmp_path, image_HWC):
    path = tmp_path / "pyramid.tif"
    for subifds in (None, 1):
        with tifffile.TiffWriter(path) as writer:
            writer.write(image_HWC[::4, ::4], photometric="rgb", subfiletype=1)
            writer.write(image_HWC, photometric="rgb", tile=(32, 48), subifds=subifds)
            writer.write(image_HWC[::2, ::2], photometric="rgb", subfiletype=1, tile=(32, 48))
        with open_slide(path) as slide:
            assert np.array_equal(slide.read_band(0, 131), image_HWC)


def test_tiles_never_written_are_black_and_said(write, image_HWC):
    path = write(image_HWC, tile=(32, 48), compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages.first
        page.tags["TileByteCounts"].overwrite((0, *page.databytecounts[1:]))
        page.tags["TileOffsets"].overwrite((0, *page.dataoffsets[1:]))
    with open_slide(path) as slide:
        band_HWC = slide.read_band(0, 131)
        assert slide.notes == ["1 of its strips or tiles were never written and are read as black"]
    assert not band_HWC[:32, :48].any()
    assert np.array_equal(band_HWC[32:], image_HWC[32:])


def test_a_16_bit_slide_is_refused_before_anything_is_decoded(tmp_path):
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.zeros((8, 9, 3), np.uint16), photometric="rgb")
    with pytest.raises(KitError) as caught:
        open_slide(path)
    assert "image holds 16-bit uint samples, needed are 8-bit unsigned ones" in str(caught.value)
    assert "which range maps to 0..255 is yours to decide" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("giant", [False, True], ids=["segments", "scratch"])
def test_damaged_pixels_are_an_error_naming_file_and_strip(write, image_HWC, coded, giant, monkeypatch):
    path = write(image_HWC, rowsperstrip=48, **coded)
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages.first.dataoffsets[1], tiff.pages.first.databytecounts[1]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(255 for _ in range(count))
    path.write_bytes(data)
    monkeypatch.setattr(rasters, "GIANT_BYTES", 1 if giant else 1 << 30)
    with open_slide(path) as slide, pytest.raises(KitError) as caught:
        slide.read_band(40, 100)
    assert "strip 1 cannot be decoded" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "copy or download it again" in str(caught.value)


def test_a_deflated_strip_of_too_few_rows_is_an_error(write, image_HWC, monkeypatch):
    path = write(image_HWC[:60], rowsperstrip=64, compression="deflate")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(64)
        tiff.pages.first.tags["RowsPerStrip"].overwrite(64)
    for giant in (1, 1 << 30):
        monkeypatch.setattr(rasters, "GIANT_BYTES", giant)
        with open_slide(path) as slide, pytest.raises(KitError, match="strip 0 cannot be decoded"):
            slide.read_band(0, 64)


def test_rows_outside_and_closed_slides_are_programming_errors(write, image_HWC):
    with open_slide(write(image_HWC)) as slide:
        for top, bottom in ((-1, 5), (100, 132), (20, 10)):
            with pytest.raises(ValueError, match="of a slide of 131"):
                slide.read_band(top, bottom)
        assert slide.read_band(7, 7).shape == (0, 97, 3)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read_band(0, 1)


def test_no_room_for_the_scratch_file_names_the_folder_and_the_space(write, image_HWC, monkeypatch, tmp_path):
    monkeypatch.setattr(rasters, "GIANT_BYTES", 1)
    gone = tmp_path / "gone"
    path = write(image_HWC, compression="deflate")
    with open_slide(path, scratch=gone) as slide, pytest.raises(KitError) as caught:
        slide.read_band(0, 1)
    assert "no room to decode 131 x 97 pixels" in str(caught.value)
    assert str(gone) in str(caught.value)
    assert "set TMPDIR to a larger disk" in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("tifffile", "tifffile is not installed"), ("imagecodecs", "install imagecodecs beside tifffile")],
)
def test_a_missing_library_is_named(write, image_HWC, missing, expected):
    path = write(image_HWC, compression="jpeg", tile=(32, 48))
    code = (
        "import sys\n"
        f"sys.modules['{missing}'] = None\n"
        "from pathlib import Path\n"
        "from kit.errors import run_cli\n"
        "from kit.images.slide import open_slide\n"
        "sys.exit(run_cli(lambda argv: open_slide(Path(argv[0])).read_band(0, 1).size))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
