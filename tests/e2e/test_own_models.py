"""The two examples of a model of one's own, from their training scripts to scored rehearsals."""

import csv
import importlib.util
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from tests.documented.own import CLASSIFIER, SEGMENTER
from tests.documented.walks import walked

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def left(factory, walk):
    """The folder that the example of a walk filled, and what it printed."""
    copy, ends = walked(factory, walk)
    return copy / "work" / "examples" / walk.name, ends[0].out + ends[0].err


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return left(tmp_path_factory, SEGMENTER)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return left(tmp_path_factory, CLASSIFIER)


def wheel_of(folder, name):
    """The files of a wheel in the bundle, wherever it lies there."""
    found = [
        path for path in folder.rglob("*") if path.is_file() and name in path.name and path.suffix == ".whl"
    ]
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            found += [(path, item) for item in archive.namelist() if name in item]
    return found


def common(folder, module):
    plan = json.loads((folder / "dist" / "ensemble.json").read_text())
    assert {member["network"]["network"] for member in plan["members"]} == {"own"}
    assert wheel_of(folder / "dist" / "bundle", f"own_{module}"), "the class travels in a wheel"
    script = (folder / "dist" / "predict.py").read_text()
    assert "kit/models/own.py" in script
    assert "kit/models/families/" not in script.replace("kit/models/families/__init__.py", "")
    report = json.loads((folder / "dist" / "rehearsal" / "report.json").read_text())
    assert report["rungs"][-1]["state"] == "done"
    told = [item["what"] for item in report["problems"] if ": alarm: " not in item["what"]]
    assert told == []
    return plan


@pytest.mark.slow
@pytest.mark.shares(SEGMENTER.name)
def test_the_segmenter_is_trained_added_bundled_and_scored(segmenter):
    folder, told = segmenter
    common(folder, "tumour_segmenter")
    assert "rehearsal: mean Dice 0." in told
    # Ten steps of training find something already; all foreground would be a Dice of 0.47.
    assert float(told.split("rehearsal: mean Dice ")[1].split()[0]) > 0.2


@pytest.mark.slow
@pytest.mark.shares(CLASSIFIER.name)
def test_the_classifier_s_submission_is_what_a_slow_and_plain_program_predicts(classifier):
    folder, _ = classifier
    plan = common(folder, "crowd_classifier")
    path = EXAMPLES / "classifier" / "crowd_classifier.py"
    spec = importlib.util.spec_from_file_location("plain_crowd_classifier", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    models = []
    for member in plan["members"]:
        fold = member["name"].rpartition("fold")[2]
        model = module.CrowdClassifier()
        model.load_state_dict(torch.load(folder / "weights" / f"fold{fold}.pt", weights_only=True))
        models.append(model.eval())
    flips = {"identity": (1, 1), "hflip": (1, -1), "vflip": (-1, 1)}
    with (folder / "dist" / "rehearsal" / "submission.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    last = plan["rungs"][-1]
    assert len(rows) == 25
    assert last["settings"]["numbers"] in ("mean", "median")
    for row in rows[::6]:
        image = tifffile.imread(folder / "data" / "test" / f"{row['id']}.tif")
        small = cv2.resize(image, (160, 128), interpolation=cv2.INTER_AREA)
        values = []
        for item in plan["passes"]:
            down, right = flips[item["view"]]
            with torch.inference_mode():
                values.append(models[item["member"]].predict(small[::down, ::right].copy())["crowded"])
        if last["settings"]["numbers"] == "mean":
            expected = np.average(values, weights=last["weights"])
            assert float(row["crowded"]) == pytest.approx(expected, abs=1e-5)
        else:
            assert min(values) <= float(row["crowded"]) <= max(values)


@pytest.mark.slow
@pytest.mark.shares(CLASSIFIER.name)
def test_a_loss_is_scored_and_shown(classifier):
    _, told = classifier
    assert 0 < float(told.split("rehearsal: log loss ")[1].split()[0]) < 3
