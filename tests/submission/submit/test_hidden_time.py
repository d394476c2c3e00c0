"""What the commit run tells about the hidden run, and what is refused because of it."""

import pytest

from kit.errors import KitError
from submission.submit.hidden_time import SLOWER, hidden_time, require_fits


@pytest.fixture(scope="module")
def report(good_run):
    return good_run.report


def test_without_hidden_images_nothing_is_claimed(report):
    hidden = hidden_time(report, images=None, megapixels=None)
    assert (hidden.known, hidden.range) == (False, None)
    assert 0 < hidden.set_up < report["wall_seconds"]
    require_fits(hidden, 9 * 3600)


def test_measured_seconds_per_megapixel_make_the_range(report):
    rates = [item["seconds_per_megapixel"] for item in report["passes"]]
    hidden = hidden_time(report, images=None, megapixels=100.0)
    workers = report["workers"]
    assert hidden.rungs == pytest.approx(
        [hidden.set_up + rates[0] * 100 / workers, hidden.set_up + sum(rates) * 100 / workers]
    )
    low, high = hidden.range
    assert high == min(low * SLOWER, report["budget"])
    images = len(report["images"])
    of_images = hidden_time(report, images=images * 10, megapixels=None)
    total = sum(item["height"] * item["width"] for item in report["images"]) / 1e6
    assert of_images.rungs == pytest.approx(hidden_time(report, images=None, megapixels=10 * total).rungs)


def test_what_was_not_measured_is_as_much_slower_as_the_rest(report):
    passes = [{**report["passes"][0], "seconds_per_megapixel": 3.0}, {**report["passes"][1]}]
    passes[1]["seconds_per_megapixel"] = None
    hidden = hidden_time({**report, "passes": passes, "workers": 1}, images=None, megapixels=1.0)
    # The ensemble says 1 s for both; the first took 3 s here, so the second is expected to take 3 s as well.
    assert hidden.rungs == pytest.approx([hidden.set_up + 3, hidden.set_up + 6])


@pytest.mark.parametrize(
    ("change", "asked", "limit", "words"),
    [
        ({}, {"megapixels": 1e9}, 9 * 3600, "the first rung would take"),
        ({"budget": 40_000}, {"megapixels": 1.0}, 9 * 3600, "plans for 40000 s"),
        ({"budget": 1}, {"megapixels": None}, 9 * 3600, "the set-up alone"),
    ],
)
def test_a_run_that_would_be_lost_is_refused(report, change, asked, limit, words):
    hidden = hidden_time({**report, **change}, images=None, **asked)
    with pytest.raises(KitError, match=words):
        require_fits(hidden, limit)


FORECAST = {
    "budget": 600.0,
    "seconds": 12.0,
    "members_measured": 2,
    "images_measured": 3,
    "memory_peak": 2e9,
    "memory_total": 29e9,
    "problems": [],
    "seconds_per_image": 0.5,
    "images_that_fit": 900,
    "disk_free": 5e10,
    "safe": None,
    "why": ["the size is not known"],
}
OF_A_SIZE = {
    "images": 10,
    "megapixels": 20.0,
    "rung": 1,
    "cv": 0.51,
    "part": 0,
    "run_seconds": 240.0,
    "disk": 1e9,
    "slower_same_rung": 1.7,
    "slower_first_rung": 3.0,
    "safe": True,
    "why": [],
}


def test_the_forecast_of_the_dry_run_counts_unless_a_size_is_given(report):
    report = {**report, "hidden_run": {**FORECAST, **OF_A_SIZE}}
    hidden = hidden_time(report, images=None, megapixels=None)
    assert hidden.range == (240.0, 240.0 * SLOWER)
    text = "\n".join(hidden.forecast_lines)
    assert "10 images of 20 megapixels: rung 2 of 2, cv 0.5100, in 240 of 600 s" in text
    assert "up to 1.70 x slower still reaches this rung, 3.00 x slower still finishes the first" in text
    assert "safe to submit" in text
    require_fits(hidden, 9 * 3600)
    assert hidden_time(report, images=None, megapixels=100.0).forecast is None


def test_a_forecast_that_is_not_safe_is_refused(report):
    told = {**FORECAST, **OF_A_SIZE, "safe": False, "why": ["memory ran out in the dry run"]}
    hidden = hidden_time({**report, "hidden_run": told}, images=None, megapixels=None)
    with pytest.raises(KitError, match="says: memory ran out in the dry run"):
        require_fits(hidden, 9 * 3600)


def test_without_a_size_the_dry_run_tells_how_many_images_would_fit(report):
    hidden = hidden_time({**report, "hidden_run": FORECAST}, images=None, megapixels=None)
    assert hidden.range is None
    assert "0.5 s an image for all rungs; about 900 images like these would fit" in "\n".join(
        hidden.forecast_lines
    )
    require_fits(hidden, 9 * 3600)


def test_a_dry_run_that_failed_leaves_the_judgement_to_the_commit_run(report):
    report = {**report, "hidden_run": {"problem": "a signal ended it"}}
    assert hidden_time(report, images=None, megapixels=None).forecast is None


def test_a_report_of_something_else_is_refused():
    with pytest.raises(KitError, match=r"report\.json lacks"):
        hidden_time({}, images=None, megapixels=None)
