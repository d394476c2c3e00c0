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


def test_a_report_of_something_else_is_refused():
    with pytest.raises(KitError, match=r"report\.json lacks"):
        hidden_time({}, images=None, megapixels=None)
