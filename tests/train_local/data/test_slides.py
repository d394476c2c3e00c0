import cv2
import numpy as np
import pytest

from kit.errors import KitError
from kit.images.reading import ColourTiffs
from kit.masks import rle
from kit.predictions import SemanticMask
from train_local.data import slides


@pytest.mark.parametrize(("scale", "reduction"), [(1, 1), (0.5, 2), (1 / 3, 3), (0.333, 3), (0.125, 8)])
def test_whole_reductions_are_recognised(scale, reduction):
    assert slides.reduction_of(scale) == reduction


@pytest.mark.parametrize("scale", [0.4, 2.0, 0.3, 0.0, -1.0])
def test_other_resolutions_are_refused_with_what_would_do(scale):
    with pytest.raises(KitError, match="is not one over an integer") as error:
        slides.reduction_of(scale)
    assert "1/2, 1/3" in str(error.value)


@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_written_arrays_are_the_area_means_of_the_slide(blobs, tmp_path, monkeypatch, reduction):
    monkeypatch.setattr(slides, "BAND", 20)
    image_HWC, mask_HW = blobs.slide(5, height=150, width=121)
    source = blobs.make_competition(tmp_path, ids=()) / "test" / "zz.tiff"
    import tifffile

    tifffile.imwrite(source, image_HWC, photometric="rgb", metadata=None)
    files = slides.files_of(tmp_path, reduction, "zz")
    mask = SemanticMask(150, 121, rle.encode(mask_HW))
    slides.write(
        files, source, mask, reduction, reading=ColourTiffs(), inputs={"image": "x"}, code_version="1"
    )
    padded = np.pad(image_HWC, ((0, -150 % reduction), (0, -121 % reduction), (0, 0)), "symmetric")
    size = (padded.shape[1] // reduction, padded.shape[0] // reduction)
    expected = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
    assert np.abs(np.load(files.image).astype(int) - expected).max() <= 1
    if reduction == 1:
        assert np.array_equal(np.load(files.mask) > 0, mask_HW)
    assert slides.is_current(files, {"image": "x"})
    assert not slides.is_current(files, {"image": "y"})
    with np.load(files.places) as places:
        assert places["grey"][..., 0].sum() == np.load(files.mask).size
        squares, covered = places["cover"].sum(axis=(0, 1))
        assert squares == (np.load(files.image).astype(float) ** 2).sum()
        assert covered == pytest.approx(np.load(files.mask).sum() / 255)
        assert (
            len(places["objects"])
            == cv2.connectedComponents((np.load(files.mask) > 127).astype(np.uint8))[0] - 1
        )


def test_damaged_or_half_written_arrays_are_not_current(blobs, tmp_path):
    data = blobs.make_competition(tmp_path, ids=("aa",))
    _, mask_HW = blobs.slide(0)
    mask = SemanticMask(*mask_HW.shape, rle.encode(mask_HW))
    files = slides.files_of(tmp_path, 2, "aa")

    def write():
        slides.write(
            files, data / "train" / "aa.tiff", mask, 2, reading=ColourTiffs(), inputs={}, code_version="1"
        )

    write()
    assert slides.is_current(files, {})
    with files.image.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\xff\x00\xff")
    assert not slides.is_current(files, {})
    write()
    assert slides.is_current(files, {})
    files.mask.with_name(files.mask.name + ".json").unlink()
    assert not slides.is_current(files, {})


def test_truth_of_another_size_names_the_image(blobs, tmp_path):
    data = blobs.make_competition(tmp_path, ids=("aa",))
    files = slides.files_of(tmp_path, 1, "aa")
    mask = SemanticMask(10, 10, rle.encode(np.zeros((10, 10), bool)))
    with pytest.raises(KitError, match="truth is for 10 x 10 pixels, the image has 192 x 256") as error:
        slides.write(
            files, data / "train" / "aa.tiff", mask, 1, reading=ColourTiffs(), inputs={}, code_version="1"
        )
    assert "aa.tiff" in str(error.value)
    assert not files.image.exists()
