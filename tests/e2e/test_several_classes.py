"""Masks of three classes, instances with labels, keypoints and words: from a class of one's own to scores."""

import csv
import json
from pathlib import Path

import pytest

from tests import drawn
from tests.e2e.commands import run
from tests.once import once

ROOT = Path(__file__).parents[2]
MODELS = {
    "shapes": ("shape_masks", "masks{}.safetensors"),
    "objects": ("shape_objects", "objects{}.json"),
    "points": ("disc_place", "place{}.npz"),
    "words": ("largest_shape", "largest{}.pth"),
}
TARGET = "kaggle-2026-10"
ONE = ("--", "--workers", "1")
"""The chain of test_chain.py rehearses with several workers."""


def chain(name, folder):
    """From pictures and a model to a rehearsed submission."""
    drawn.write(folder)
    module, weights = MODELS[name]
    dist = folder / "dist"
    plan, bundle, predict = dist / "ensemble.json", dist / "bundle", dist / "predict.py"
    places = ("--prepared", folder / "work", "--runs", folder / "runs")
    files = [f"{folder / weights.format(fold)}@{fold}" for fold in range(2)]
    data = ("--data", folder / "data")
    run("train_local", "prepare", folder / f"{name}.toml", *data, "--out", folder / "work", "--folds", 2)
    run(
        "train_local",
        "add-model",
        ROOT / "tests" / "drawn_models" / f"{module}.py",
        "--weights",
        *files,
        *places,
    )
    run("train_local", "ensemble", *places, "--out", plan)
    run("bundle", "build", "--ensemble", plan, "--out", bundle, "--target", TARGET)
    run("submission", "render", "--ensemble", plan, "--bundle", bundle, "--out", predict)
    given = ("--predict", predict, "--bundle", bundle, *data, "--budget", 600)
    told = run("submission", "rehearse", *given, "--out", dist / "rehearsal", "--json", *ONE)
    (folder / "rehearsed.json").write_text(told)


@pytest.fixture(scope="module", params=MODELS)
def made(request, tmp_path_factory):
    name = request.param
    return name, once(tmp_path_factory, f"drawn-{name}", lambda folder: chain(name, folder))


@pytest.mark.slow
def test_every_kind_is_scored_offline_as_its_out_of_fold_predictions_are(made):
    name, folder = made
    rehearsed = json.loads((folder / "rehearsed.json").read_text())
    report = json.loads((folder / "dist" / "rehearsal" / "report.json").read_text())
    assert report["problems"] == []
    assert [rung["state"] for rung in report["rungs"]][-1] == "done"
    assert rehearsed["verdict"]["safe"]
    found = rehearsed["score"]["value"]
    assert found < 1 if name == "points" else found > 0.95
    with (folder / "dist" / "rehearsal" / "submission.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == {"shapes": 12}.get(name, 4)
    plan = json.loads((folder / "dist" / "ensemble.json").read_text())
    named = {"shapes": drawn.CLASSES, "objects": drawn.CLASSES, "points": ("x", "y"), "words": ("largest",)}
    assert {tuple(member["network"]["classes"]) for member in plan["members"]} == {named[name]}
    if name == "objects":
        assert {row["found"].split()[0] for row in rows} <= set(drawn.CLASSES)
    if name == "words":
        assert {row["largest"] for row in rows} <= set(drawn.CLASSES)
