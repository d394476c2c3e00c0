"""Files that are written by the book, but by a rare page of it."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.images.header import read_header, require_rgb8
from kit.images.slide import open_slide
from tests.kit.images.pages import pages_in


def all_rows(path):
    with open_slide(path) as slide:
        return slide.read_band(0, slide.height)


def overwrite(path, **tags):
    """Change tags of the first page; their new values have to fit where the old ones were."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in tags.items():
            tiff.pages.first.tags[name].overwrite(value)


def renumber(path, name, number):
    """Make another tag of one of the first page's, in a little-endian file."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages.first.tags[name].offset
    data[entry : entry + 2] = number.to_bytes(2, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "CYX"}},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "CYX"}, "byteorder": ">"},
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "bigtiff": True},
    ],
    ids=["ImageJ", "ImageJ, slices", "ImageJ, big endian", "tifffile", "tifffile, BigTIFF"],
)
def test_planes_behind_a_lone_page_are_its_channels(tmp_path, image_HWC, dtype, options):
    path = tmp_path / "stack.tif"
    image_CHW = np.moveaxis(image_HWC, 2, 0).astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    tifffile.imwrite(path, image_CHW, truncate=True, **options)
    header = read_header(path)
    assert (pages_in(path), header.layout, header.channels) == (3, "pages", 3)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
    assert np.array_equal(all_rows(path), image_HWC)


def test_a_stack_that_ends_before_its_last_plane_is_cut_short(tmp_path, image_HWC):
    path = tmp_path / "stack.tif"
    options = {"imagej": True, "metadata": {"axes": "CYX"}}
    tifffile.imwrite(path, np.moveaxis(image_HWC, 2, 0), truncate=True, **options)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(KitError, match="the last of the 3 planes that it announces should end") as caught:
        read_header(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("told", ["images=3", "channels=3", "images=1\nslices=3"])
def test_either_way_of_counting_planes_is_enough(tmp_path, image_HWC, told):
    path = tmp_path / "stack.tif"
    planes_CHW = np.moveaxis(image_HWC, 2, 0)
    tifffile.imwrite(path, planes_CHW[0], description=f"ImageJ=1.53\n{told}\n", metadata=None)
    path.write_bytes(path.read_bytes() + planes_CHW[1:].tobytes())
    assert np.array_equal(all_rows(path), image_HWC)


def test_a_stack_of_many_slices_is_no_colour_image(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((7, 20, 30), np.uint8), imagej=True, truncate=True)
    with pytest.raises(KitError, match="has no 3 colour channels: it is 7 channels"):
        require_rgb8(read_header(path))


@pytest.mark.parametrize(
    "text",
    [
        '{"shape": "x", "truncated": true}',
        '{"shape": [Infinity], "truncated": true}',
        '{"shape": [3, 9, 9]}',
        "[1]",
        "{",
        "[" * 4000,
        "ImageJ=",
        "ImageJ=\nimages=" + "9" * 4000,
    ],
)
def test_a_description_of_another_kind_is_not_read_as_a_stack(tmp_path, text):
    path = tmp_path / "gray.tif"
    tifffile.imwrite(path, np.zeros((9, 9), np.uint8), description=text, metadata=None)
    assert pages_in(path) == 1


def test_a_mask_of_single_bits_is_no_stack_of_planes(tmp_path):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, np.zeros((9, 16), bool), description="ImageJ=\nimages=3", metadata=None)
    assert pages_in(path) == 1


def test_the_image_may_be_a_subdirectory_of_its_thumbnail(tmp_path, image_HWC):
    path = tmp_path / "thumbnail.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image_HWC[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        tiff.write(image_HWC, photometric="rgb", tile=(32, 48), compression="jpeg")
        tiff.write(image_HWC[::2, ::2], photometric="rgb", subfiletype=1)
    header = read_header(path)
    assert (header.height, header.width, pages_in(path)) == (131, 97, 3)
    assert [page.index for page in header.parts] == [1]
    assert np.abs(all_rows(path).astype(int) - image_HWC).mean() < 6


def test_a_subdirectory_that_is_its_own_parent_is_passed_over(tmp_path, image_HWC):
    path = tmp_path / "circle.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image_HWC, photometric="rgb", subifds=1)
        tiff.write(image_HWC[::2, ::2], photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first.offset
    overwrite(path, SubIFDs=(first,))
    with open_slide(path) as slide:
        assert np.array_equal(slide.read_band(0, 131), image_HWC)
        assert "runs in a circle" in slide.notes[0]


@pytest.mark.parametrize("subifds", [None, 1], ids=["reduced pages", "SubIFDs"])
@pytest.mark.parametrize("ome", [False, True], ids=["plain", "OME"])
def test_pyramids_are_read_at_full_resolution(tmp_path, image_HWC, subifds, ome):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        if not ome:
            tiff.write(image_HWC[::4, ::4], photometric="rgb", subfiletype=1)
        tiff.write(image_HWC, photometric="rgb", tile=(32, 48), subifds=subifds)
        tiff.write(image_HWC[::2, ::2], photometric="rgb", subfiletype=1, tile=(32, 48))
    assert np.array_equal(all_rows(path), image_HWC)


@pytest.mark.parametrize("tag", [(254, "I", 1, 1, True), (255, "H", 1, 2, True)], ids=["new", "old"])
def test_a_page_marked_as_reduced_is_not_the_image_however_large(tmp_path, image_HWC, tag):
    path = tmp_path / "preview.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image_HWC.repeat(2, axis=0), photometric="rgb", extratags=[tag])
        tiff.write(image_HWC, photometric="rgb", subfiletype=2)
    assert np.array_equal(all_rows(path), image_HWC)


@pytest.mark.parametrize("label", [(400, 20), (20, 400)], ids=["tall", "wide"])
def test_the_image_is_the_page_of_most_pixels_not_the_longest(tmp_path, image_HWC, label):
    path = tmp_path / "label.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((*label, 3), np.uint8), photometric="rgb")
        tiff.write(image_HWC, photometric="rgb")
    assert np.array_equal(all_rows(path), image_HWC)


def test_pages_of_one_channel_have_one_plane_whatever_the_tag_says(write, image_HWC):
    path = write(image_HWC, "three pages", extratags=[(284, "H", 1, 2, True)])
    assert read_header(path).layout == "pages"
    assert np.array_equal(all_rows(path), image_HWC)


def test_pages_cut_in_different_pieces_make_one_image(tmp_path, image_HWC):
    path = tmp_path / "mixed.tif"
    ways = (
        {"tile": (32, 48), "compression": "deflate"},
        {"rowsperstrip": 7, "compression": "lzw", "predictor": True},
        {},
    )
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        with tifffile.TiffWriter(path) as tiff:
            for channel, way in enumerate(order):
                tiff.write(image_HWC[..., channel], photometric="minisblack", contiguous=False, **ways[way])
        for giant in (1 << 30, 1):
            with open_slide(path, giant=giant, threads=4) as slide:
                assert np.array_equal(slide.read_band(3, 120), image_HWC[3:120])


UNWRITTEN = {None: "black", "200": "level 200", "256": "black", "-9999": "black"}


@pytest.mark.parametrize("nodata", UNWRITTEN)
@pytest.mark.parametrize(
    "stored", ["chunky, raw", "planar, raw", "chunky, deflate", "planar, lzw", "chunky, jpeg"]
)
def test_tiles_never_written_have_the_value_that_the_file_names(write, oracle, image_HWC, stored, nodata):
    layout, codec = stored.split(", ")
    extra = [] if nodata is None else [(42113, 2, 0, nodata, True)]
    coded = {} if codec == "raw" else {"compression": codec}
    path = write(image_HWC, layout, tile=(32, 48), extratags=extra, **coded)
    with tifffile.TiffFile(path) as tiff:
        offsets, counts = tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts
    overwrite(path, TileByteCounts=(0, *counts[1:]), TileOffsets=(0, *offsets[1:]))
    with open_slide(path) as slide:
        band_HWC = slide.read_band(0, 131)
        assert slide.notes == (
            f"1 of its strips or tiles were never written and are read as {UNWRITTEN[nodata]}",
        )
    assert (band_HWC[:32, :48, 0] == (200 if nodata == "200" else 0)).all()
    assert np.array_equal(band_HWC, oracle(path))


@pytest.mark.parametrize("codec", [None, "deflate"])
def test_one_strip_of_as_many_rows_as_a_tag_can_say_is_the_whole_image(write, image_HWC, codec):
    path = write(image_HWC, rowsperstrip=131, compression=codec)
    overwrite(path, RowsPerStrip=2**32 - 1)
    assert np.array_equal(all_rows(path), image_HWC)


def test_raw_strips_in_any_order_are_read(write, image_HWC):
    path = write(image_HWC, rowsperstrip=66)
    with tifffile.TiffFile(path) as tiff:
        first, second = tiff.pages.first.dataoffsets
        size = tiff.pages.first.databytecounts[0]
    data = path.read_bytes()
    overwrite(path, StripOffsets=(len(data), second))
    data = path.read_bytes()
    path.write_bytes(data + data[first : first + size])
    assert np.array_equal(all_rows(path), image_HWC)


def test_a_raw_strip_that_is_too_short_is_an_error(write, image_HWC):
    path = write(image_HWC, rowsperstrip=66)
    with tifffile.TiffFile(path) as tiff:
        (first, second), (size, other) = tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts
    overwrite(path, StripByteCounts=(size - 1, other), StripOffsets=(first + 1, second))
    with pytest.raises(KitError, match="strip 0 cannot be decoded: it holds 19205 bytes instead of 19206"):
        all_rows(path)


@pytest.mark.parametrize("layout", ["chunky", "planar"])
def test_raw_pixels_have_no_predictor_whatever_the_tag_says(write, image_HWC, layout):
    path = write(image_HWC, layout, rowsperstrip=50)
    overwrite(path, ResolutionUnit=2)
    renumber(path, "ResolutionUnit", 317)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.predictor == 2
    assert np.array_equal(all_rows(path), image_HWC)


@pytest.mark.parametrize("giant", [1, 1 << 30], ids=["scratch", "segments"])
@pytest.mark.parametrize("codec", ["deflate", "lzw"])
def test_of_strips_that_hold_more_than_their_rows_the_rows_are_read(write, image_HWC, codec, giant):
    path = write(image_HWC, rowsperstrip=50, compression=codec)
    with tifffile.TiffFile(path) as tiff:
        (_, *others), (_, *counts) = tiff.pages.first.dataoffsets, tiff.pages.first.databytecounts
    whole = path.read_bytes()
    encode = {"deflate": imagecodecs.zlib_encode, "lzw": imagecodecs.lzw_encode}[codec]
    longer = encode(image_HWC[:50].tobytes() + bytes(range(100)))
    overwrite(path, StripOffsets=(len(whole), *others), StripByteCounts=(len(longer), *counts))
    path.write_bytes(path.read_bytes() + longer)
    with open_slide(path, giant=giant) as slide:
        assert np.array_equal(slide.read_band(0, 131), image_HWC)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}])
def test_the_bits_of_bytes_may_be_reversed(write, oracle, image_HWC, options):
    path = write(image_HWC, rowsperstrip=50, **options)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[0]
    overwrite(path, ResolutionUnit=2)
    renumber(path, "ResolutionUnit", 266)
    data = bytearray(path.read_bytes())
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    data[start:] = bytes(data[start:]).translate(reversed_bits)
    path.write_bytes(data)
    assert np.array_equal(oracle(path), image_HWC)
    assert np.array_equal(all_rows(path), image_HWC)


def test_aperios_ycbcr_jpeg_2000_is_refused_instead_of_read_in_wrong_colours(write, image_HWC):
    path = write(image_HWC, tile=(32, 48), compression=33003)
    with pytest.raises(KitError, match="colour space is YCbCr"):
        open_slide(path)


def test_alpha_is_left_out_and_said(tmp_path, image_HWC):
    path = tmp_path / "alpha.tif"
    alpha_HW1 = np.full((131, 97, 1), 9, np.uint8)
    rgba_HWC = np.concatenate([image_HWC, alpha_HW1], axis=2)
    for planar, compression in (("contig", None), ("contig", "deflate"), ("separate", "lzw")):
        stored = rgba_HWC if planar == "contig" else np.moveaxis(rgba_HWC, 2, 0)
        kinds = {"photometric": "rgb", "planarconfig": planar, "extrasamples": ["unassalpha"]}
        tifffile.imwrite(path, stored, compression=compression, **kinds)
        assert np.array_equal(all_rows(path), image_HWC)
        with open_slide(path) as slide:
            assert slide.notes == ("its fourth channel (alpha) is left out",)


TAGS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=3)


@pytest.mark.parametrize(
    "options", [{}, {"tile": (32, 48), "compression": "lzw"}, {"compression": "jpeg"}], ids=str
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(changes=TAGS)
@example(changes=[(21, 56)])  # 940 million columns
def test_nonsense_in_the_tags_is_an_error_of_ours_or_a_picture(write, image_HWC, options, changes):
    path = write(image_HWC, **options)
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place] = value
    path.write_bytes(data)
    try:
        with open_slide(path) as slide:
            band_HWC = slide.read_band(0, min(9, slide.height))
            assert band_HWC.shape == (min(9, slide.height), slide.width, 3)
    except KitError as error:
        assert str(path) in str(error)  # noqa: PT017  # most changes leave a picture


@pytest.mark.parametrize("codec", ["deflate", "lzw", "packbits"])
def test_a_strip_too_small_for_its_pixels_makes_no_scratch_file(write, image_HWC, codec):
    path = write(image_HWC, rowsperstrip=131, compression=codec)
    overwrite(path, ImageLength=60_000, RowsPerStrip=60_000, ImageWidth=65_000)
    with pytest.raises(KitError, match="can hold its 60000 x 65000 pixels: the tags are damaged") as caught:
        open_slide(path)
    assert str(path) in str(caught.value)
