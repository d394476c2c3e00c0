import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from kit.errors import KitError
from kit.images.header import read_header, require_rgb8
from tests.kit.images.pages import pages_in


def numbers(header):
    """Places in the file of the pages that make up the image."""
    return [page.index for page in header.parts]


def message_of(path):
    with pytest.raises(KitError) as caught:
        require_rgb8(read_header(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("bigtiff", [False, True], ids=["classic", "bigtiff"])
@pytest.mark.parametrize("byteorder", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("tile", [None, (32, 48)], ids=["strips", "tiles"])
def test_facts_of_both_kinds_and_byte_orders(write, image_HWC, bigtiff, byteorder, tile):
    header = read_header(write(image_HWC, bigtiff=bigtiff, byteorder=byteorder, tile=tile, compression="lzw"))
    assert (header.height, header.width, header.channels, header.bits) == (131, 97, 3, 8)
    assert (header.layout, header.sample_format, header.compression) == ("chunky", "uint", "lzw")
    assert (header.photometric, numbers(header), pages_in(header.path)) == ("RGB", [0], 1)
    assert (header.parts[0].tiled, header.parts[0].segment) == (bool(tile), tile or (131, 97))
    assert header.byteorder == {"<": "little", ">": "big"}[byteorder]
    assert require_rgb8(header) == []


@pytest.mark.parametrize(
    ("layout", "expected", "pages"),
    [
        ("planar", "planar", [0]),
        ("planar, singleton axes", "planar", [0]),
        ("three pages", "pages", [0, 1, 2]),
        ("three pages, singleton axes", "pages", [0, 1, 2]),
    ],
)
def test_channel_first_layouts_are_told_apart(write, image_HWC, layout, expected, pages):
    header = read_header(write(image_HWC, layout))
    assert (header.layout, numbers(header)) == (expected, pages)
    assert (header.height, header.width, header.channels) == (131, 97, 3)


def test_single_channel_pages_are_announced_as_the_colours_they_are_taken_for(write, image_HWC):
    header = read_header(write(image_HWC, "three pages"))
    assert require_rgb8(header) == ["its single-channel pages are taken as red, green and blue"]


@pytest.mark.parametrize("subifds", [True, False], ids=["SubIFDs", "reduced pages"])
@pytest.mark.parametrize("layout", ["chunky", "three pages"])
def test_of_a_pyramid_the_full_level_counts(tmp_path, image_HWC, subifds, layout):
    path = tmp_path / "pyramid.tif"
    planes = [image_HWC] if layout == "chunky" else list(np.moveaxis(image_HWC, 2, 0))
    with tifffile.TiffWriter(path) as writer:
        photometric = "rgb" if layout == "chunky" else "minisblack"
        for plane in planes:
            writer.write(plane, photometric=photometric, subifds=1 if subifds else None)
            writer.write(plane[::2, ::2], photometric=photometric, subfiletype=1)
    header = read_header(path)
    assert (header.height, header.width, header.channels) == (131, 97, 3)
    assert len(header.parts) == len(planes)


def test_alpha_is_announced(tmp_path):
    path = tmp_path / "alpha.tif"
    tifffile.imwrite(path, np.zeros((8, 9, 4), np.uint8), photometric="rgb", extrasamples=["unassalpha"])
    assert require_rgb8(read_header(path)) == ["its fourth channel (alpha) is left out"]


@pytest.mark.parametrize(
    ("image", "options", "problem"),
    [
        (np.zeros((8, 9, 3), np.uint32), {"photometric": "rgb"}, "32-bit uint samples, not 8-bit"),
        (np.zeros((8, 9, 3), np.int16), {"photometric": "rgb"}, "16-bit int samples, not 8-bit"),
        (np.zeros((8, 9, 3), np.float32), {"photometric": "rgb"}, "32-bit float samples"),
        (np.zeros((8, 9, 3), np.int8), {"photometric": "rgb"}, "8-bit int samples"),
        (
            np.zeros((8, 9), np.uint8),
            {"photometric": "minisblack"},
            "8 x 9 pixels has no 3 colour channels: it is grayscale or palette",
        ),
        (np.zeros((5, 8, 9), np.uint8), {"photometric": "minisblack"}, "it is 5 channels"),
        (np.zeros((8, 9, 4), np.uint8), {"photometric": "separated"}, "is CMYK"),
        (np.zeros((3, 8, 9), np.uint8), {"photometric": "miniswhite"}, "colour space is white is zero"),
    ],
)
def test_what_is_not_8_bit_rgb_is_refused_with_a_remedy(tmp_path, image, options, problem):
    path = tmp_path / "other.tif"
    tifffile.imwrite(path, image, **options)
    text = message_of(path)
    assert problem in text
    assert "convert it to 8-bit RGB first" in text


def test_the_deepest_sample_counts(write, image_HWC):
    path = write(image_HWC)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["BitsPerSample"].overwrite((8, 8, 32))
    assert "32-bit uint samples" in message_of(path)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "image is empty (0 bytes)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a TIFF"),
        (b"II*", "not a TIFF"),
        (b"II*\0\0\0\0\0", "TIFF holds no image"),
        (b"II*\0\x08\0\0\0", "TIFF is cut short: it ends within its tags"),
        (b"II+\0\x08\0\0\0", "TIFF is cut short: it ends within its header"),
        (b"II*\0\x08\0\0\0\x01\0" + bytes(12) + b"\x08\0\0\0", "page 0 of the TIFF has no size"),
    ],
    ids=["empty", "png", "three bytes", "no page", "no tags", "half a header", "nonsense"],
)
def test_what_is_no_tiff_is_refused(tmp_path, data, problem):
    path = tmp_path / "broken.tif"
    path.write_bytes(data)
    assert problem in message_of(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    assert "image is missing" in message_of(tmp_path / "none.tif")
    assert "image cannot be read: Is a directory" in message_of(tmp_path)


def nested(levels):
    """A TIFF of one pixel whose only subdirectory has one of its own, and so on."""
    data = b"II*\0\x08\0\0\0"
    for level in range(levels):
        below = len(data) + 2 + 12 * 6 + 4 if level < levels - 1 else 0
        tags = ((256, 1), (257, 1), (258, 8), (273, 8), (279, 1), (330, below))
        data += struct.pack("<H", len(tags))
        data += b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in tags) + bytes(4)
    return data


def test_a_lone_page_marked_as_reduced_is_the_image(write, image_HWC):
    header = read_header(write(image_HWC, subfiletype=1))
    assert (header.height, header.width, numbers(header)) == (131, 97, [0])


@pytest.mark.parametrize("levels", [1, 2, 3000])
def test_subdirectories_may_be_nested_however_deep(tmp_path, levels):
    path = tmp_path / "nested.tif"
    path.write_bytes(nested(levels))
    assert pages_in(path) == levels


def test_pages_are_counted_as_they_are_met_subdirectories_after_their_parent(tmp_path):
    path = tmp_path / "order.tif"
    with tifffile.TiffWriter(path) as tiff:
        for side, below in ((20, 2), (7, 0), (9, 0), (30, 0)):
            tiff.write(np.zeros((side, side, 3), np.uint8), photometric="rgb", subifds=below)
    assert numbers(read_header(path)) == [3]
    assert pages_in(path) == 4


@pytest.mark.parametrize("number", [1, 3, 6])
def test_an_orientation_is_passed_over_and_said(write, image_HWC, number):
    header = read_header(write(image_HWC, extratags=[(274, 3, 1, number, True)]))
    told = f"its orientation (TIFF's number {number}) is ignored: rows and columns stay as stored"
    assert require_rgb8(header) == ([] if number == 1 else [told])
    assert (header.height, header.width) == (131, 97)


def test_of_several_images_of_the_same_size_the_first_is_read_and_that_is_said(tmp_path, image_HWC):
    path = tmp_path / "several.tif"
    tifffile.imwrite(path, np.stack([image_HWC, 255 - image_HWC, image_HWC]), photometric="rgb")
    header = read_header(path)
    assert (numbers(header), pages_in(path)) == ([0], 3)
    assert require_rgb8(header) == ["the first of its 3 images of this size is read"]


@pytest.mark.parametrize("tile", [None, (32, 48)], ids=["strips", "tiles"])
def test_every_truncation_is_noticed(write, image_HWC, tile):
    path = write(image_HWC, tile=tile, rowsperstrip=10, compression="deflate")
    whole = path.read_bytes()
    for length in [*range(0, len(whole) - 1, 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        message_of(path)
    path.write_bytes(whole[:-1])
    text = message_of(path)
    assert f"TIFF is cut short: it has {len(whole) - 1} bytes" in text
    assert f"should end at byte {len(whole)}" in text
    assert "copy or download the file again" in text


def test_pages_in_a_circle_are_read_once(write, image_HWC):
    path = write(image_HWC)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        entries = len(page.tags)
        offset = page.offset
    data = bytearray(path.read_bytes())
    end = offset + 2 + entries * 12
    data[end : end + 4] = offset.to_bytes(4, "little")
    path.write_bytes(data)
    assert pages_in(path) == 1
    (note,) = require_rgb8(read_header(path))
    assert "list of pages runs in a circle" in note


def test_fewer_strips_listed_than_the_size_needs_are_refused(write, image_HWC):
    path = write(image_HWC, rowsperstrip=10)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(1000)
    assert "page 0 lists 14 pieces of pixels, its size needs 100" in message_of(path)


def test_only_the_standard_library_is_needed(write, image_HWC):
    path = write(image_HWC)
    code = (
        "import sys\n"
        "for name in ('numpy', 'tifffile', 'imagecodecs'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from kit.images.header import read_header\n"
        "header = read_header(Path(sys.argv[1]))\n"
        "print(header.height, header.width)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["131", "97"]
