import numpy as np
import pytest

from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.intensity_rule import Intensity
from tests.kit.images.coded_files import dicom, png

RNG = np.random.default_rng(8)
PNGS = AnyReading(("png",), slices="*.png")


@pytest.fixture
def folder(tmp_path):
    """Slices 1, 2, 10 and 11, of which the third is wider."""
    made = tmp_path / "volume"
    made.mkdir()
    slices = {}
    for number in (11, 1, 10, 2):
        slices[number] = RNG.integers(0, 256, (6, 9 if number == 10 else 7, 3))
        (made / f"slice_{number}.png").write_bytes(png(slices[number]))
    (made / "notes.txt").write_text("no slice")
    (made / "._slice_1.png").write_bytes(b"of macOS")
    return made, [slices[number] for number in sorted(slices)]


def test_slices_come_in_the_order_of_their_numbers_and_are_read_when_asked_for(folder):
    place, slices = folder
    with PNGS.open(place) as volume:
        assert len(volume) == 4
        assert [path.name for path in volume.files] == [f"slice_{n}.png" for n in (1, 2, 10, 11)]
        assert all(np.array_equal(one, other) for one, other in zip(volume, slices, strict=True))
        assert np.array_equal(volume[-1], slices[-1])
        assert [one.shape for one in volume[1:3]] == [(6, 7, 3), (6, 9, 3)]
        (place / "slice_1.png").unlink()
        with pytest.raises(KitError, match="image is missing"):
            volume[0]


def test_the_middle_slice_stands_for_the_image(folder):
    place, slices = folder
    facts = PNGS.facts(place)
    assert (facts.height, facts.width) == (6, 9)
    assert "it has 4 slices" in facts.notes
    with PNGS.open(place) as volume:
        assert (volume.height, volume.width) == (6, 9)
        assert np.array_equal(volume.read_band(1, 3), slices[2][1:3])


def test_a_folder_without_slices_and_none_at_all(tmp_path):
    with pytest.raises(KitError, match=r"no slice \*.png"):
        PNGS.facts(tmp_path)
    with pytest.raises(KitError, match="image is missing"):
        PNGS.open(tmp_path / "none")


@pytest.mark.parametrize("by", ["instance", "position"])
def test_a_series_in_the_order_that_its_files_tell(tmp_path, by):
    order = {"a": 3, "b": 1, "c": 2}
    for name, number in order.items():
        told = {"InstanceNumber": number, "ImagePositionPatient": [9, 9, -5.5 * number]}
        told["ImageOrientationPatient"] = [1, 0, 0, 0, -1, 0]
        samples_HW = np.full((4, 4), 10 * number, np.uint8)
        (tmp_path / f"{name}.dcm").write_bytes(dicom(samples_HW, **told))
    reading = AnyReading(("dicom",), Intensity("full range"), slices="*.dcm", slice_order=by)
    with reading.open(tmp_path) as volume:
        assert [path.stem for path in volume.files] == ["b", "c", "a"]
        assert [int(one[0, 0, 0]) for one in volume] == [10, 20, 30]


def test_series_that_do_not_tell_their_order(tmp_path):
    reading = AnyReading(("dicom",), Intensity("full range"), slices="*.dcm", slice_order="instance")
    for name in "ab":
        (tmp_path / f"{name}.dcm").write_bytes(dicom(np.zeros((4, 4), np.uint8)))
    with pytest.raises(KitError, match="does not tell its instance"):
        reading.open(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.dcm").write_bytes(dicom(np.zeros((4, 4), np.uint8), InstanceNumber=1))
    with pytest.raises(KitError, match=r"the same instance as a\.dcm"):
        reading.open(tmp_path)


def test_slices_are_changed_when_they_are_read(folder):
    place, slices = folder
    with PNGS.open(place) as volume:
        turned = volume.mapped(np.fliplr).mapped(np.flipud)
        assert len(turned) == 4
        assert np.array_equal(turned[2], slices[2][::-1, ::-1])
        assert np.array_equal(turned[-2:][1], slices[3][::-1, ::-1])
        with pytest.raises(IndexError):
            list(volume.mapped(lambda slice_HWC: slice_HWC[99]))


def test_a_model_of_values_gets_every_slice_under_every_view(folder, tmp_path):
    import json

    from kit.inference import values_engine
    from tests.kit.inference.predicting import image_pass

    place, slices = folder
    asked = []

    def model(image):
        asked.append([one.copy() for one in image])
        return {"slices": float(len(image)), "sum": float(sum(int(one.sum()) for one in image))}

    with PNGS.open(place) as volume:
        values_engine.run_pass(model, image_pass(volume, tmp_path / "out.json", "identity+hflip"))
    first, second = asked
    assert all(np.array_equal(one, other) for one, other in zip(first, slices, strict=True))
    assert all(np.array_equal(one[:, ::-1], other) for one, other in zip(second, slices, strict=True))
    total = float(sum(int(one.sum()) for one in slices))
    assert json.loads((tmp_path / "out.json").read_text()) == {"slices": 4.0, "sum": total}
