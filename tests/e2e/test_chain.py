"""The product: competition data in, a scored offline submission out, by the commands a user types."""

import json
from pathlib import Path

import pytest

from tests.documented.every_walk import ROAD
from tests.documented.walks import walked
from tests.e2e.commands import run

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.shares(ROAD.name)]
NAMES = ("kidney", "vasculature")


@pytest.fixture(scope="module", params=NAMES)
def chain(request, tmp_path_factory):
    """What `nox -s demo` left of a competition: its name, data, folder, and what the rehearsal says."""
    copy, _ = walked(tmp_path_factory, ROAD)
    dist = copy / "dist" / "demo" / request.param
    rehearsal = json.loads((dist / "rehearsal" / "rehearsal.json").read_text())
    return request.param, ROOT / "sample" / request.param, dist, rehearsal


def test_rehearsed_submission_is_valid_and_scored(chain):
    name, data, dist, rehearsal = chain
    submission = dist / "rehearsal" / "submission.csv"
    where = ("--competition", name, "--data", data, "--submission", submission, "--json")
    assert json.loads(run("kit", "validate", *where))["ok"]
    score = json.loads(run("kit", "score", *where))
    assert 0 < score["value"] <= 1
    assert rehearsal["score"]["value"] == pytest.approx(score["value"])


def test_offline_run_installed_what_the_image_lacks_and_reached_the_last_rung(chain):
    *_, dist, _ = chain
    report = json.loads((dist / "rehearsal" / "report.json").read_text())
    states = [rung["state"] for rung in report["rungs"]]
    assert states[-1] == "done"
    assert {*states} <= {"done", "passed over"}
    assert report["problems"] == []
    installed = {choice["name"] for choice in report["install"]["choices"] if choice["version"]}
    assert installed & {"mmcv-full", "segmentation-models-pytorch"}
    assert not installed & {"torch", "torchvision", "numpy"}


def test_report_is_one_page_about_this_run(chain):
    name, _, dist, rehearsal = chain
    page = (dist.parent / "report.html").read_text()
    scores = json.loads((dist / "scores.json").read_text())
    assert set(scores) == {"submission", "otsu", "all-foreground"}
    assert scores["submission"] == pytest.approx(rehearsal["score"]["value"])
    assert all(f"{value:.4f}" in page for value in scores.values())
    told = rehearsal["verdict"]["text"].split("'")[0]  # an apostrophe is escaped
    assert f"{name}: {told}" in page
    assert page.count("data:image/jpeg;base64,") >= 1
    for chart in ("optimiser step", "seconds since the process started", "The rung of each image"):
        assert chart in page
    for outside in ('src="http', 'href="http', "url(http", "@import"):
        assert outside not in page
