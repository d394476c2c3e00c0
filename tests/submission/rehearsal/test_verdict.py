from types import SimpleNamespace

import pytest

from submission.rehearsal.verdict import told, verdict

ENSEMBLE = SimpleNamespace(
    rungs=[
        SimpleNamespace(passes=[0], cv=0.80),
        SimpleNamespace(passes=[1], cv=0.81),
        SimpleNamespace(passes=[0, 2], cv=0.84),
    ]
)


def result(**changes):
    enforced = {"killed": 0, "memory": 100, "most_memory": 50, "disks": {"working": {"size": 9, "most": 1}}}
    enforced |= changes.pop("enforced", {})
    return {"exit_code": 0, "in_time": True, "seconds": 5.0, "valid": True, "enforced": enforced, **changes}


def report(states, *, forecasts=(), **more):
    rungs = [{"index": index, "state": state} for index, state in enumerate(states)]
    images = [{"id": "a", "row": "rung 1"}]
    facts = {"rungs": rungs, "images": images, "forecasts": list(forecasts), "deadline": 110.0}
    return {**facts, **more}


def forecast(goal, *, median, late):
    """A forecast at second 10 of a run whose deadline is second 110."""
    return {
        "seconds": 10.0,
        "rungs": [0, goal],
        "ends": [[12.0, 15.0, 20.0], [11.0, 10.0 + median, 10.0 + late]],
    }


def test_predicted_and_reached_rung_and_the_score_between_two_rungs():
    # 100 s are left for a median of 50 s and a spread of ln 2: one deviation.
    forecasts = [forecast(2, median=50.0, late=50.0 * 2**1.645), forecast(1, median=1.0, late=2.0)]
    found = verdict(result(), report(["done", "passed over", "incomplete"], forecasts=forecasts), ENSEMBLE)
    assert (found["predicted_rung"], found["reached_rung"], found["chance"]) == (2, 0, 0.841)
    assert found["expected_score"] == pytest.approx(0.8413 * 0.84 + 0.1587 * 0.80, abs=1e-5)
    assert found["spread"] == pytest.approx((0.8413 * 0.1587) ** 0.5 * 0.04, abs=1e-5)
    assert found["safe"]
    assert told(found, 3)[0] == "rung        predicted 3 of 3, reached 1 of 3"
    assert told(found, 3)[1].startswith(
        "verdict     safe to send, with an expected score of 0.8337 +- 0.0146 by the rung reached on im"
    )


def test_the_expected_loss_is_told_as_the_metric_is_and_not_as_the_negative_of_rungs():
    rungs = [SimpleNamespace(passes=[0], cv=-0.452)]
    found = verdict(result(), report(["done"]), SimpleNamespace(rungs=rungs), sign=-1)
    assert found["expected_score"] == -0.452
    assert "an expected score of 0.4520 on" in told(found, 1)[1]


def test_without_a_forecast_the_first_rung_was_expected():
    found = verdict(result(), report(["done", "not begun", "not begun"]), ENSEMBLE)
    assert (found["predicted_rung"], found["expected_score"], found["spread"]) == (0, 0.80, 0.0)


def test_a_server_forecasts_nothing_and_is_expected_to_reach_what_every_call_reached():
    calls = [{"call": 1, "images": 1, "rows": {"rung 2": 1}, "seconds": 9.0, "share": 20.0}]
    found = verdict(result(), report(["done", "done", "not begun"], calls=calls), ENSEMBLE)
    assert (found["predicted_rung"], found["reached_rung"], found["expected_score"]) == (None, 1, 0.81)
    assert told(found, 3)[0] == "rung        reached 2 of 3 in every call"
    assert "score of 0.8100 on images like these" in told(found, 3)[1]
    found = verdict(result(), report(["not begun"] * 3, calls=calls), ENSEMBLE)
    assert (found["predicted_rung"], found["reached_rung"]) == (None, None)
    assert told(found, 3)[0] == "rung        predicted none, reached none"


@pytest.mark.parametrize(("slower", "chance"), [(1.0, 0.5), (1.35, 0.841), (1 / 1.35, 0.159)])
def test_the_dry_run_tells_of_the_hidden_size_and_counts_more(slower, chance):
    hidden = {"rung": 2, "slower_same_rung": slower, "safe": True, "why": []}
    forecasts = [forecast(1, median=1.0, late=2.0)]
    found = verdict(result(), report(["done"] * 3, forecasts=forecasts, hidden_run=hidden), ENSEMBLE)
    assert found["chance"] == pytest.approx(chance, abs=1e-3)
    assert found["predicted_rung"] == 1, "of this run"
    assert found["at_the_limit"]
    assert "on the hidden test set" in told(found, 3)[-1]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"exit_code": 2}, "exit code 2"),
        ({"exit_code": None}, "its time was up"),
        ({"in_time": False}, "too long"),
        ({"valid": False}, "not valid"),
        ({"enforced": {"killed": 3}}, "memory ran out: 3 killed processes"),
        ({"enforced": {"most_memory": 99}}, "nearly all the memory"),
        ({"enforced": {"disks": {"scratch": {"size": 1, "most": 2e9}}}}, "the scratch disk held 2.0 GB"),
    ],
)
def test_what_went_wrong_makes_it_unsafe(changed, why):
    found = verdict(result(**changed), report(["done"] * 3), ENSEMBLE)
    assert not found["safe"]
    assert why in told(found, 3)[-1]


def test_fallback_rows_no_rung_no_report_and_a_dry_run_that_warns_make_it_unsafe():
    lost = report(["incomplete", "not begun", "not begun"])
    lost["images"].append({"id": "b", "row": "fallback"})
    assert verdict(result(), lost, ENSEMBLE)["why"] == [
        "1 of 2 images have the fallback row", "no rung was finished",
    ]  # fmt: skip
    assert verdict(result(), None, ENSEMBLE)["why"] == ["there is no report.json"]
    hidden = {"safe": False, "why": ["the first rung takes too long"]}
    found = verdict(result(), report(["done"] * 3, hidden_run=hidden), ENSEMBLE)
    assert found["why"] == ["the first rung takes too long"]


@pytest.mark.parametrize("hidden", [None, {"problem": "the run took all of its time"}])
def test_a_run_without_images_shows_nothing_without_a_dry_run(hidden):
    nothing = report(["incomplete", "not begun", "not begun"], images=[], hidden_run=hidden)
    assert verdict(result(), nothing, ENSEMBLE)["why"] == ["no rung was finished"]
    nothing["hidden_run"] = {"members_measured": 3, "safe": True, "why": [], "rung": None}
    assert verdict(result(), nothing, ENSEMBLE)["safe"]


def test_a_report_that_had_no_room_is_of_a_disk_that_did_not_suffice():
    short = report(["done"] * 3, left_out=["tasks", "images", "forecasts"])
    del short["images"], short["forecasts"]
    assert verdict(result(), short, ENSEMBLE)["why"] == ["the output disk had no room for the whole report"]


def test_a_rung_of_unknown_score_has_no_expected_one():
    ensemble = SimpleNamespace(rungs=[SimpleNamespace(passes=[0], cv=None)])
    found = verdict(result(), report(["done"]), ensemble)
    assert (found["expected_score"], found["safe"]) == (None, True)
    assert "of an unknown score" in told(found, 1)[-1]


def test_a_first_rung_without_room_is_told_with_a_remedy_in_one_sentence():
    reason = "the first rung needs room for a machine 1.6 times slower, has room for 1.49"
    hidden = {"images": 650, "rung": 2, "slower_same_rung": 1.4, "slower_first_rung": 1.49, "safe": False}

    def found(**changes):
        return verdict(result(), report(["done"] * 3, hidden_run={**hidden, **changes}), ENSEMBLE)

    slow = found(why=[reason])
    assert slow["text"].startswith(f"NOT SAFE to send: {reason}; to mend it: a larger --budget")
    assert told(slow, 3)[-1] == f"verdict     {slow['text']}"
    assert found(slower_first_rung=2.0, why=["memory ran out in the dry run"])["fix"] is None
    assert found(rung=None, slower_first_rung=None, why=["not even the first"])["fix"] is not None


def test_where_the_hidden_size_is_not_known_the_verdict_says_so():
    hidden = {"members_measured": 1, "safe": None, "why": ["the size of the hidden test set is not known"]}
    found = verdict(result(), report(["done"] * 3, hidden_run=hidden), ENSEMBLE)
    assert found["text"] == (
        "safe to send on images like these, with an expected score of 0.8000; "
        "the hidden test set's size is not known"
    )
