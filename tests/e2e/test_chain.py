"""The product: competition data in, a scored offline submission out, by the commands a user types."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.once import once

ROOT = Path(__file__).parents[2]
RECIPE_OF = {"kidney": "unet-regnety16", "vasculature": "detectors-r50"}
STEPS = {"kidney": 60, "vasculature": 10}


def run(*arguments):
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def make_chain(name, folder):
    """Everything up to the rehearsed submission, with a few steps of training instead of 300."""
    data, prepared, runs, dist = ROOT / "sample" / name, folder / "work", folder / "runs", folder / "dist"
    plan, bundle, predict = dist / "ensemble.json", dist / "bundle", dist / "predict.py"
    run("train_local", "prepare", name, "--data", data, "--out", prepared)
    one = ("--tiny", "--fold", "0")
    short = ("tests.e2e.short_training", STEPS[name])
    run(*short, "train", RECIPE_OF[name], "--prepared", prepared, "--out", runs, *one)
    run("train_local", "ensemble", "--prepared", prepared, "--runs", runs, "--out", plan)
    run("bundle", "build", "--ensemble", plan, "--out", bundle)
    run("submission", "render", "--ensemble", plan, "--bundle", bundle, "--out", predict)
    mounts = ("--bundle", bundle, "--data", data)
    out = run(
        "submission",
        "rehearse",
        "--predict",
        predict,
        *mounts,
        "--budget",
        "900",
        "--out",
        dist / "rehearsal",
        "--json",
    )
    (dist / "rehearsed.json").write_text(out)


@pytest.fixture(scope="module", params=sorted(RECIPE_OF))
def chain(request, tmp_path_factory):
    name = request.param
    folder = once(tmp_path_factory, f"chain-{name}", lambda folder: make_chain(name, folder))
    rehearsal = json.loads((folder / "dist" / "rehearsed.json").read_text())
    return name, ROOT / "sample" / name, folder / "dist", folder / "runs", rehearsal


@pytest.mark.slow
def test_rehearsed_submission_is_valid_and_scored(chain):
    name, data, dist, _, rehearsal = chain
    submission = dist / "rehearsal" / "submission.csv"
    where = ("--competition", name, "--data", data, "--submission", submission, "--json")
    assert json.loads(run("kit", "validate", *where))["ok"]
    score = json.loads(run("kit", "score", *where))
    assert 0 < score["value"] <= 1
    assert rehearsal["score"]["value"] == pytest.approx(score["value"])


@pytest.mark.slow
def test_offline_run_installed_what_the_image_lacks_and_reached_the_last_rung(chain):
    *_, dist, _, _ = chain
    report = json.loads((dist / "rehearsal" / "report.json").read_text())
    states = [rung["state"] for rung in report["rungs"]]
    assert states[-1] == "done"
    assert {*states} <= {"done", "passed over"}
    assert report["problems"] == []
    installed = {choice["name"] for choice in report["install"]["choices"] if choice["version"]}
    assert installed & {"mmcv-full", "segmentation-models-pytorch"}
    assert not installed & {"torch", "torchvision", "numpy"}


@pytest.mark.slow
def test_report_is_one_page_about_this_run(chain):
    name, data, dist, runs, rehearsal = chain
    scores = {"submission": rehearsal["score"]["value"]}
    for kind in ("otsu", "all-foreground"):
        where = ("--competition", name, "--data", data)
        run("train_local", "baseline", *where, "--kind", kind, "--out", dist / f"{kind}.csv")
        scored = run("kit", "score", *where, "--submission", dist / f"{kind}.csv", "--json")
        scores[kind] = json.loads(scored)["value"]
    (dist / "scores.json").write_text(json.dumps(scores))
    run("submission", "report", "--out", dist / "report.html", "--chapter", name, data, dist, runs)
    page = (dist / "report.html").read_text()
    assert all(f"{value:.4f}" in page for value in scores.values())
    told = rehearsal["verdict"]["text"].split("'")[0]  # an apostrophe is escaped
    assert f"{name}: {told}" in page
    assert page.count("data:image/jpeg;base64,") >= 1
    for chart in ("optimiser step", "seconds since the process started", "The rung of each image"):
        assert chart in page
    for outside in ('src="http', 'href="http', "url(http", "@import"):
        assert outside not in page
