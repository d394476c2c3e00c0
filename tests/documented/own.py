"""A model and a competition of one's own, as README and the pages about them say."""

import csv

import cv2

from kit.competitions import get
from kit.images.slide import open_slide
from kit.local.competitions.labelled import LabelledData
from kit.masks import rle
from tests.documented.road import ONE_IMAGE
from tests.documented.walks import Step, Walk, copied
from train_local.data.mask_bands import MaskBands

_SHORT = ("--short", *ONE_IMAGE[:2])
_DATA = "data/my-competition"
_SIDE = 256
_MINE = {"DIR": _DATA, "submission.csv": f"{_DATA}/sample_submission.csv", "/data/my-competition": _DATA}
_ANSWERS = ("--yes", "--answer", "metric.name=mean Dice")
_WEIGHTS = " ".join(f"weights/fold{fold}.safetensors@{fold}" for fold in (0, 1))
_EXAMPLE = "docs/examples/segmenter"


def my_competition(kit):
    """Write what somebody downloaded: PNGs of two slides, their masks in train.csv, a sample submission."""
    folder, kidney, data = kit / _DATA, get("kidney"), kit / "sample" / "kidney"
    truth = LabelledData(kidney, data).truth(["1008", "1019"])
    rows = []
    for part in ("train", "test"):
        (folder / part).mkdir(parents=True)
    for slide_id in truth:
        with open_slide(kidney.image_path(data, slide_id, "train")) as slide:
            image_HWC = slide.read_band(0, slide.height)
        mask_HW = MaskBands(truth[slide_id]).band(0, len(image_HWC)) > 0
        for number in range(8):
            top, left = _SIDE * (number // 4), _SIDE * (number % 4)
            area = (slice(top, top + _SIDE), slice(left, left + _SIDE))
            name, part = f"{slide_id}_{number}", "test" if number == 7 else "train"
            cv2.imwrite(str(folder / part / f"{name}.png"), image_HWC[area][..., ::-1])
            if part == "train":
                rows.append([name, rle.to_kaggle(rle.encode(mask_HW[area]))])
    tables = {"train.csv": rows, "sample_submission.csv": [[f"{name}_7", ""] for name in truth]}
    for name, lines in tables.items():
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([["id", "rle"], *lines])


SEGMENTER = Walk(
    "segmenter",
    (
        Step("nox -s example -- segmenter", r"rehearsal: mean Dice 0\.", more=_SHORT),
        Step(f"nox -s prepare -- {_EXAMPLE}/competition.toml --data sample/kidney", "tumour-regions"),
        Step(
            f"python {_EXAMPLE}/train.py --data sample/kidney --prepared work/tumour-regions --out weights",
            r"step \d+: loss \d",
            more=("--steps", "10"),
        ),
        Step(
            f"nox -s add-model -- tumour-regions {_EXAMPLE}/tumour_segmenter.py --weights {_WEIGHTS}",
            r"tumour-segmenter\.fold1: mean Dice 0\.",
        ),
        Step("nox -s ensemble -- tumour-regions", "rung"),
        Step("nox -s bundle -- tumour-regions", "hubmap-kit-tumour-regions-wheels", more=ONE_IMAGE),
        Step("nox -s render -- tumour-regions", r"predict\.py"),
        Step("nox -s rehearse -- tumour-regions --data sample/kidney", r"score +mean Dice 0\."),
        Step(
            "python -m benchmarks examples --found DIR --write-docs",
            "segmenter",
            {"DIR": "work/examples"},
            more=("--only", "segmenter"),
        ),
        my_competition,
        Step("nox -s new-competition -- /data/my-competition", r"my-competition\.toml", _MINE, more=_ANSWERS),
        Step(
            "nox -s prepare -- my-competition.toml --data /data/my-competition",
            "14 images in 4 folds",
            _MINE,
        ),
        Step(
            "nox -s prepare -- my-competition.toml --data DIR",
            "14 images",
            _MINE,
            more=("--out", "elsewhere"),
        ),
        Step(
            "python -m kit validate --competition my-competition.toml --data DIR --submission submission.csv",
            "valid",
            _MINE,
        ),
        Step(
            "python -m kit score --competition my-competition.toml --data DIR "
            "--submission submission.csv --json",
            "no truth for 2 images",
            _MINE,
            code=2,
        ),
        copied("docs/examples/segmenter/tumour_segmenter.py", "my_model.py"),
        copied("weights/fold0.safetensors", "fold0.safetensors"),
        copied("weights/fold1.safetensors", "fold1.safetensors"),
        Step(
            "nox -s add-model -- my-competition my_model.py "
            "--weights fold0.safetensors@0 fold1.safetensors@1",
            "mean Dice",
        ),
        Step("python -m kit new-competition DIR", r"\.toml", _MINE, more=(*_ANSWERS, "--out", "again.toml")),
        Step(
            "nox -s new-competition -- DIR --yes --answer metric.name=mean Dice --out FILE.toml",
            r"file\.toml",
            {**_MINE, "FILE.toml": "file.toml", "metric.name=mean": "metric.name=mean Dice", "Dice": ()},
        ),
        Step("python -m kit new-competition", "DIR", code=2),
        Step(
            "python -m kit validate --competition body --data DIR --submission submission.csv",
            "valid",
            {"DIR": "sample/body", "submission.csv": "sample/body/sample_submission.csv"},
        ),
    ),
)
CLASSIFIER = Walk(
    "classifier", (Step("nox -s example -- classifier", r"rehearsal: log loss \d", more=_SHORT),)
)
