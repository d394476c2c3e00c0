"""JPEG as GDAL stores it: without JFIF markers, so that only the tags tell what the samples are."""

import numpy as np
import pytest
import tifffile

from kit.errors import KitError
from kit.images.slide import open_slide


def without_jfif(path):
    """Turn the JFIF marker of each piece into a comment."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        starts = [start for page in tiff.pages for start in page.dataoffsets]
    for start in starts:
        if data[start + 6 : start + 10] == b"JFIF":
            data[start + 3], data[start + 6 : start + 10] = 0xFE, b"text"
    path.write_bytes(data)
    with tifffile.TiffFile(path) as tiff:
        assert not any(page.is_jfif for page in tiff.pages)


def without_names(path):
    """Number the samples of each piece, called R, G and B until now, and make a comment of Adobe's marker."""
    data = path.read_bytes()
    for old, new in (
        (b"R\x11\x00G\x11\x00B\x11\x00", b"\x00\x11\x00\x01\x11\x00\x02\x11\x00"),
        (b"\x03R\x00G\x00B\x00", b"\x03\x00\x00\x01\x00\x02\x00"),
        (b"\xff\xee\x00\x0eAdobe", b"\xff\xfe\x00\x0eAdobe"),
    ):
        assert old in data
        data = data.replace(old, new)
    path.write_bytes(data)


def named(path, photometric):
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in tiff.pages:
            page.tags["PhotometricInterpretation"].overwrite(photometric)


def far_from(path, image_HWC):
    """Mean difference of a whole slide from an image, levels."""
    with open_slide(path) as slide:
        return np.abs(slide.read_band(0, slide.height).astype(int) - image_HWC).mean()


@pytest.mark.parametrize("pieces", [{"tile": (32, 48)}, {"rowsperstrip": 16}], ids=["tiles", "strips"])
@pytest.mark.parametrize("layout", ["planar", "three pages"])
@pytest.mark.parametrize("photometric", [1, 2], ids=["black is zero", "RGB"])
def test_planes_are_gray_whatever_the_page_is_called(write, image_HWC, layout, photometric, pieces):
    path = write(image_HWC, layout, compression="jpeg", **pieces)
    without_jfif(path)
    named(path, photometric)
    assert far_from(path, image_HWC) < 3


@pytest.mark.parametrize("photometric", [1, 2], ids=["black is zero", "RGB"])
def test_interleaved_samples_are_not_taken_for_ycbcr(write, image_HWC, photometric):
    path = write(image_HWC, tile=(32, 48), compression="jpeg", compressionargs={"outcolorspace": "rgb"})
    without_jfif(path)
    without_names(path)
    named(path, photometric)
    assert far_from(path, image_HWC) < 3


def test_a_jfif_marker_tells_of_ycbcr_where_the_page_speaks_of_black(tmp_path, image_HWC):
    path = tmp_path / "slide.tif"
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(path, image_HWC, compression="jpeg", **options)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.is_jfif
    assert far_from(path, image_HWC) < 3


@pytest.mark.parametrize("layout", ["planar", "three pages"])
def test_planes_of_ycbcr_are_refused_instead_of_read_as_red_green_and_blue(write, image_HWC, layout):
    path = write(image_HWC, layout, compression="jpeg")
    named(path, 6)
    with pytest.raises(KitError, match="colour space is YCbCr"):
        open_slide(path)
