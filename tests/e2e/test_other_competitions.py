"""Recipes of other competitions: the kidney's U-Net on body, a detector on one that a TOML file describes."""

import json

import pytest

from tests.e2e.commands import run, short_training
from tests.once import once

TARGET = "kaggle-2026-10"
"""Wheels for every image are built by test_chain.py, which also rehearses with several workers."""


def chain(name, data, recipe, steps, folder, *options, scale=()):
    """From the competition's folder to a rehearsed submission, with a few steps of training."""
    prepared, runs, dist = folder / "work", folder / "runs", folder / "dist"
    plan, bundle, predict = dist / "ensemble.json", dist / "bundle", dist / "predict.py"
    run("train_local", "prepare", name, "--data", data, "--out", prepared, "--folds", "2", *scale)
    with short_training(steps):
        run(
            "train_local",
            "train",
            recipe,
            "--prepared",
            prepared,
            "--out",
            runs,
            "--tiny",
            "--fold",
            "0",
            *options,
        )
    run("train_local", "ensemble", "--prepared", prepared, "--runs", runs, "--out", plan, "--keep-all")
    run("bundle", "build", "--ensemble", plan, "--out", bundle, "--target", TARGET)
    run("submission", "render", "--ensemble", plan, "--bundle", bundle, "--out", predict)
    given = ("--predict", predict, "--bundle", bundle, "--data", data, "--budget", "900")
    out = run("submission", "rehearse", *given, "--out", dist / "rehearsal", "--json", "--", "--workers", "1")
    (folder / "rehearsed.json").write_text(out)


def read_chain(folder):
    dist = folder / "dist"
    return {
        "rehearsal": json.loads((folder / "rehearsed.json").read_text()),
        "report": json.loads((dist / "rehearsal" / "report.json").read_text()),
        "ensemble": json.loads((dist / "ensemble.json").read_text()),
        "submission": dist / "rehearsal" / "submission.csv",
    }


@pytest.fixture(scope="module")
def of_body(body, tmp_path_factory):
    views = ("--views", "identity", "hflip@0.75", "identity+vflip")
    # A recipe of another competition, asked for by name: its resolution is not among those of body's recipes.
    steps, scale = ("unet-regnety16", 30), ("--scale", "1/8")

    def make(folder):
        chain("body", body, *steps, folder, *views, scale=scale)

    return read_chain(once(tmp_path_factory, "chain-body", make))


@pytest.fixture(scope="module")
def of_cells(cells, tmp_path_factory):
    toml = cells / "cells.toml"
    steps = ("detectors-r50", 5)
    return read_chain(
        once(tmp_path_factory, "chain-cells", lambda folder: chain(toml, cells / "data", *steps, folder))
    )


def judged(name, data, made):
    where = ("--competition", name, "--data", data, "--submission", made["submission"], "--json")
    assert json.loads(run("kit", "validate", *where))["ok"]
    return json.loads(run("kit", "score", *where))


@pytest.mark.slow
def test_body_is_predicted_and_scored(of_body, body):
    score = judged("body", body, of_body)
    assert 0.2 < score["value"] <= 1, "30 steps of training already beat nothing"
    assert of_body["rehearsal"]["score"]["value"] == pytest.approx(score["value"])
    assert len(score["per_image"]) == 6


@pytest.mark.slow
def test_body_s_networks_see_other_pixel_sizes_at_the_same_micrometres(of_body):
    (member,) = of_body["ensemble"]["members"]
    assert member["inference"]["pixel_size"] == 0.4
    views = [item["view"] for item in of_body["ensemble"]["passes"]]
    assert sorted(views) == ["hflip@0.75", "identity", "identity+vflip"]
    states = [rung["state"] for rung in of_body["report"]["rungs"]]
    assert states[-1] == "done"
    assert {*states} <= {"done", "passed over"}
    # Masks after so few steps may look odd.
    told = [item["what"] for item in of_body["report"]["problems"] if ": alarm: " not in item["what"]]
    assert told == [], "where a row tells no pixel size, that of its organ and source is known"


@pytest.mark.slow
def test_a_competition_described_by_a_file_is_predicted_and_scored_without_that_file(of_cells, cells):
    assert of_cells["ensemble"]["competition"] == "cells"
    assert of_cells["ensemble"]["definition"]["metric"] == {"name": "AP", "iou": [0.5, 0.6]}
    score = judged(cells / "cells.toml", cells / "data", of_cells)
    assert score["metric"] == "mean AP@0.5:0.6"
    assert of_cells["rehearsal"]["score"]["value"] == pytest.approx(score["value"])
    assert of_cells["report"]["problems"] == []
    header, first, *_ = of_cells["submission"].read_text().splitlines()
    assert header == "image,prediction"
    assert first.split(",")[1].startswith("cell ")
