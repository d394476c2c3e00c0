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


@pytest.fixture
def write(tmp_path):
    """Writes an RGB image in one of the layouts that the competitions use."""

    def write_tiff(image_HWC, layout="chunky", **options):
        path = tmp_path / "slide.tif"
        image_CHW = np.moveaxis(image_HWC, 2, 0)
        if layout == "chunky":
            tifffile.imwrite(path, image_HWC, photometric="rgb", **options)
        elif layout == "planar":
            tifffile.imwrite(path, image_CHW, photometric="rgb", planarconfig="separate", **options)
        elif layout == "planar, singleton axes":
            tifffile.imwrite(
                path, image_CHW[None, None], photometric="rgb", planarconfig="separate", **options
            )
        elif layout == "three pages":
            tifffile.imwrite(path, image_CHW, photometric="minisblack", **options)
        elif layout == "three pages, singleton axes":
            axes = {"axes": "TZCYX"}
            tifffile.imwrite(path, image_CHW[None, None], photometric="minisblack", metadata=axes, **options)
        else:
            raise AssertionError(layout)
        return path

    return write_tiff
