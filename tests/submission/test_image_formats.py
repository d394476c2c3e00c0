"""The rendered predict.py on PNG, JPEG and DICOM: the masks are those of the same pixels in TIFFs."""

import csv
import io

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from kit import competitions
from kit import ensemble as ensembles
from kit.images.info import ImageInfo
from kit.inference.runner import PassResult, fuse, open_member, run_pass
from tests.kit.images.coded_files import dicom, exif, jpeg, png

FORM = {
    "kind": "semantic",
    "truth": {"form": "text", "file": "train.csv", "mask": "rle"},
    "submission": {"mask": "rle"},
    "metric": {"name": "mean Dice"},
}
CODED = {
    **FORM,
    "name": "coded",
    "slug": "coded-images",
    "images": {"train": "train/{id}.png", "test": "test/{id}.png", "intensity": "full range"},
}
SCANS = {
    **FORM,
    "name": "scans",
    "slug": "scanned-slices",
    "images": {
        "train": "train/{patient}/{slice}.dcm",
        "test": "test/{patient}/{slice}.dcm",
        "id": "{patient}_{slice}",
        "intensity": [0, 400],
    },
}
PLAIN = {
    **FORM,
    "name": "plain",
    "slug": "plain-tiffs",
    "images": {"train": "a/{id}.tif", "test": "b/{id}.tif"},
}


def fields(seed, height, width):
    """Coarse fields of colour, as networks see tissue."""
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 230, (height // 16 + 1, width // 16 + 1, 3))
    return np.kron(coarse, np.ones((16, 16, 1), int))[:height, :width].astype(np.uint8)


def listed(folder, ids):
    (folder / "sample_submission.csv").write_text("id,rle\n" + "".join(f"{image},\n" for image in ids))


def expected(made, levels, folder):
    """Rows of the ensemble's last rung for TIFFs of these levels, by the same engine in this process."""
    plan = ensembles.load(made.ensemble)
    plain = competitions.of(type(plan)(**{**vars(plan), "competition": "plain", "definition": PLAIN}))
    member, device = plan.members[0], torch.device("cpu")
    module = open_member(member, made.weights / member.weights, device)
    rows = {}
    for image, levels_HWC in levels.items():
        path = folder / f"{image}.tif"
        tifffile.imwrite(path, levels_HWC, photometric="rgb")
        file = run_pass(module, member, "identity", image, path, folder / "passes", device=device)
        fused = fuse(
            [PassResult(file=file, weight=1.0, member=member)],
            plan.rungs[-1].settings,
            levels_HWC.shape[:2],
            kind="semantic",
            image_id=image,
            info=ImageInfo(),
        )
        (row,) = plain.rows(image, fused.prediction)
        rows[image] = row["rle"]
    return rows


def rows_of(outcome):
    return {row["id"]: row["rle"] for row in csv.DictReader(io.StringIO(outcome.csv))}


def grey(levels_HW):
    return np.repeat(levels_HW[..., None], 3, axis=2)


@pytest.mark.slow
def test_png_and_jpeg_of_every_kind(tmp_path, tools):
    images = {seed: fields(seed, 150 + 10 * seed, 170) for seed in range(4)}
    deep_HW = images[1][..., :1].astype(int) * 257 // 2
    photo = jpeg(images[2], quality=90, orientation=6)
    palette, numbers_HW = np.unique(images[3].reshape(-1, 3), axis=0, return_inverse=True)
    data = tmp_path / CODED["slug"]
    (data / "test").mkdir(parents=True)
    numbers_HW = numbers_HW.reshape(*images[3].shape[:2], 1)
    files = {
        "colour": png(images[0], interlaced=True, more=[(b"eXIf", exif(3))]),
        "deep": png(deep_HW, 16),
        "photo": photo,
        "palette": png(numbers_HW, palette=palette),
        "cut": png(images[0])[:-30],
    }
    for name, content in files.items():
        (data / "test" / f"{name}.png").write_bytes(content)
    listed(data, files)
    made = tools.make_kit(tmp_path / "kit", members=1, definition=CODED)
    outcome = tools.run(made.script, tools.mount(tmp_path / "input", made, data), tmp_path / "out")
    assert outcome.code == 0, outcome.text
    levels = {
        "colour": images[0],
        "deep": grey((deep_HW[..., 0] >> 8).astype(np.uint8)),
        "photo": np.array(Image.open(io.BytesIO(photo))),
        "palette": images[3],
    }
    found = rows_of(outcome)
    assert {image: found[image] for image in levels} == expected(made, levels, tmp_path)
    assert found["cut"] == ""
    told = str(outcome.report)
    assert "PNG is cut short" in told
    assert "it is a JPEG although its name ends with .png" in told
    assert "its EXIF orientation is 6: rows and columns stay as stored" in told


@pytest.mark.slow
def test_dicom_files_in_folders(tmp_path, tools):
    values = {f"p{n}_{n:03}": fields(n, 150, 170)[..., 0].astype(np.int16) * 2 - 100 for n in (1, 2)}
    data = tmp_path / SCANS["slug"]
    for image, values_HW in values.items():
        patient, number = image.split("_")
        path = data / "test" / patient / f"{number}.dcm"
        path.parent.mkdir(parents=True)
        form = "MONOCHROME1" if patient == "p2" else "MONOCHROME2"
        stored_HW = (values_HW + 1024).astype(np.uint16)
        elements = {"RescaleSlope": 1, "RescaleIntercept": -1024, "PhotometricInterpretation": form}
        path.write_bytes(dicom(stored_HW, stored=12, **elements))
    listed(data, values)
    made = tools.make_kit(tmp_path / "kit", members=1, definition=SCANS)
    outcome = tools.run(made.script, tools.mount(tmp_path / "input", made, data), tmp_path / "out")
    assert outcome.code == 0, outcome.text
    levels = {}
    for image, values_HW in values.items():
        levels_HW = np.clip(values_HW / 400 * 255 + 0.5, 0, 255).astype(np.uint8)
        levels[image] = grey(255 - levels_HW if image.startswith("p2") else levels_HW)
    assert rows_of(outcome) == expected(made, levels, tmp_path)


def test_only_scripts_of_such_competitions_carry_the_readers(tmp_path, tools):
    def parts(definition):
        script = tools.make_kit(tmp_path / definition["name"], members=1, definition=definition).script
        space = {"__name__": "not main"}
        exec(compile(script.read_text(), "predict.py", "exec"), space)
        return set(space["PARTS"])

    coded, scans, plain = parts(CODED), parts(SCANS), parts(PLAIN)
    assert coded - plain == {
        "kit/competitions/image_rules.py",
        "kit/competitions/path_parts.py",
        *(
            f"kit/images/{name}.py"
            for name in (
                "any_reading",
                "exif",
                "intensity_rule",
                "jpeg_header",
                "levels",
                "png_header",
                "png_jpeg",
            )
        ),
        "kit/images/whole_image.py",
    }
    assert "kit/images/dicom.py" in scans
    assert "kit/images/png_jpeg.py" not in scans
