import cv2
import numpy as np
import pytest
import tifffile


def smooth_image(height, width, channels=3):
    """Gradients that JPEG keeps recognisable and that no two rows, columns or channels share."""
    noise = np.random.default_rng(7).integers(0, 256, (height, width, channels)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4).reshape(height, width, channels)
    low, high = soft.min(), soft.max()
    return ((soft - low) / (high - low) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def image_HWC():
    return smooth_image(131, 97)


def _of_file(options):
    """Takes those options out that belong to a file and not to a page."""
    return {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}


def _one_by_one(path, planes, options, *, below=0):
    """Single-channel pages; given (3, 1, n) at once, tifffile would write a single page of three rows."""
    with tifffile.TiffWriter(path, **_of_file(options)) as tiff:
        for number, plane_HW in enumerate(planes):
            subifds = 0 if number else below
            tiff.write(plane_HW, photometric="minisblack", contiguous=False, subifds=subifds, **options)


def _planar(path, image_CHW, options):
    tifffile.imwrite(path, image_CHW, photometric="rgb", planarconfig="separate", **options)


def _pages(path, image_CHW, options, **kind):
    tifffile.imwrite(path, image_CHW, photometric="minisblack", **kind, **options)


WRITERS = {
    "chunky": lambda path, image_CHW, options: tifffile.imwrite(
        path, np.moveaxis(image_CHW, 0, 2), photometric="rgb", **options
    ),
    "planar": _planar,
    "planar, singleton axes": lambda path, image_CHW, options: _planar(path, image_CHW[None, None], options),
    "three pages": _one_by_one,
    "three pages, singleton axes": lambda path, image_CHW, options: _pages(
        path, image_CHW[None, None], options, metadata={"axes": "TZCYX"}
    ),
    "OME, three pages": lambda path, image_CHW, options: _pages(
        path, image_CHW, options, metadata={"axes": "CYX"}, ome=True
    ),
    "a page and two SubIFDs": lambda path, image_CHW, options: _one_by_one(path, image_CHW, options, below=2),
}


@pytest.fixture
def write(tmp_path):
    """Writes an RGB image in one of the layouts that are met in the wild."""

    def write_tiff(image_HWC, layout="chunky", **options):
        path = tmp_path / "slide.tif"
        WRITERS[layout](path, np.moveaxis(image_HWC, 2, 0), options)
        return path

    return write_tiff


@pytest.fixture(scope="session")
def oracle():
    """A whole image as tifffile reads it, (h, w, 3) in the stored depth."""

    def read(path):
        with tifffile.TiffFile(path) as tiff:
            stored = np.stack([series.asarray() for series in tiff.series]).squeeze()
        stored = stored.reshape([side for side in stored.shape if side > 1] or stored.shape)
        return np.moveaxis(stored, 0, 2) if len(stored) == 3 else stored

    return read
