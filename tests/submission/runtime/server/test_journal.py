import json
import time

import pytest

from submission.runtime.server import journal as journals
from submission.runtime.server.journal import NAME, Journal, MeasuredCosts
from tests.kit.plan.ladders import ensemble_of

ENSEMBLE = ensemble_of([0, 1], [1, 2])


def left_behind(folder, start=None):
    """The file of a process that has answered two calls."""
    first = Journal(folder, ENSEMBLE, time.monotonic() - 50 if start is None else start, go_on=True)
    assert not first.restarted
    first.costs.observe(0, 10.0, 5.0, 3.0)
    first.costs.observe(1, 10.0, 40.0, 2.0)
    first.progress.note(3, inside=20.0, outside=1.0)
    first.progress.note(3, inside=20.0, outside=1.0)
    first.write()
    return first


def test_a_restarted_server_knows_when_the_run_began_what_came_and_what_passes_cost(tmp_path):
    first = left_behind(tmp_path)
    again = Journal(tmp_path, ENSEMBLE, time.monotonic(), go_on=True)
    assert again.restarted
    assert again.start == first.start
    assert again.progress == first.progress
    assert again.costs.measured(0) == pytest.approx(0.5)
    assert again.costs.measured(1) == pytest.approx(4.0)
    assert again.costs.load(0) == pytest.approx(3.0)


def test_on_another_machine_the_elapsed_time_counts(tmp_path, monkeypatch):
    left_behind(tmp_path)
    monkeypatch.setattr(journals, "_BOOT", tmp_path / "another machine")
    now = time.monotonic()
    again = Journal(tmp_path, ENSEMBLE, now, go_on=True)
    assert again.restarted
    assert 50 <= now - again.start < 200


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: "{",
        lambda value: "[]",
        lambda value: json.dumps({**value, "ensemble": "another"}),
        lambda value: json.dumps({**value, "progress": {"calls": 1, "other": 2}}),
        lambda value: json.dumps({**value, "start": "soon"}),
        lambda value: json.dumps({**value, "observations": [[0, "x", 1, 1]]}),
    ],
)
def test_what_is_no_journal_of_this_run_tells_nothing(tmp_path, damage):
    left_behind(tmp_path)
    file = tmp_path / NAME
    file.write_text(damage(json.loads(file.read_text())))
    start = time.monotonic()
    again = Journal(tmp_path, ENSEMBLE, start, go_on=True)
    assert not again.restarted
    assert again.start == start


def test_a_run_that_is_no_hidden_one_begins_anew_and_leaves_nothing(tmp_path):
    left_behind(tmp_path)
    assert not Journal(tmp_path, ENSEMBLE, time.monotonic(), go_on=False).restarted
    assert not (tmp_path / NAME).exists()


def test_members_that_stay_loaded_are_expected_to_cost_no_load():
    costs = MeasuredCosts(ENSEMBLE)
    costs.observe(0, 1.0, 1.0, load=6.0)
    assert costs.load(0) == pytest.approx(6.0)
    for _ in range(5):
        costs.begin_call()
        costs.observe(0, 1.0, 1.0)
        costs.observe(0, 1.0, 1.0, load=9.0)  # on another worker; the first one of a call counts
    assert costs.load(0) == 0.0
