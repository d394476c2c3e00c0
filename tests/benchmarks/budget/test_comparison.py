"""The table: every way beside the best choice, and the command line around it."""

import pytest

from benchmarks.__main__ import main
from benchmarks.budget import command, summary
from benchmarks.budget.comparison import Compared, Result, compare
from benchmarks.budget.ways import WAYS
from benchmarks.markdown import block
from benchmarks.options import BudgetOptions
from kit.errors import KitError

WORLDS = 6


@pytest.fixture(scope="module")
def worlds():
    return command.compare_all(WORLDS, 3, 1, nested=False)


def test_no_way_is_better_than_the_best_choice_and_none_misses_a_deadline(worlds):
    for world in worlds:
        assert len(world.results) == len(WAYS)
        assert all(0.0 <= world.ratio(way) <= 1.0 for way in range(len(WAYS)))
        assert not any(result.late for result in world.results)
        assert world.choice


def test_worlds_are_the_same_in_other_processes(worlds):
    assert command.compare_all(2, 3, 2, nested=False) == worlds[:2]
    assert compare(1, 3) == worlds[1]


def test_the_table_counts_late_and_empty_runs_and_takes_the_5th_percentile():
    def world(number, ratio, *, late=False, predicted=True):
        results = tuple(Result(ratio, 0.5, late, predicted, "rung 1") for _ in WAYS)
        return Compared(number, "semantic", 0.2 + number / 10, number % 4 == 1, 1.0, "rung 2", results)

    many = [world(number, 0.8 + number / 100) for number in range(19)]
    rows = summary.rows([*many, world(19, 0.0, late=True, predicted=False)])
    assert rows[0][1:] == [
        "1",
        f"{sum(0.8 + n / 100 for n in range(19)) / 20:.4f}",
        "0.8000",
        "0.0000",
        "50 %",
        "1",
    ]
    assert [row[0] for row in rows] == [way.name for way in WAYS]
    groups = {row[0]: int(row[1]) for row in summary.group_rows(many)}
    assert groups == {
        "Dice": 19,
        "early stopping": 5,
        "15-40 % fits": 2,
        "40-100 % fits": 6,
        "100-250 % fits": 11,
    }
    assert [row[0] for row in summary.worst_rows(many)[:2]] == ["0", "1"]


def test_the_block_and_the_picture_are_written_and_the_command_stands_below(tmp_path, capsys):
    page = tmp_path / "benchmarks.md"
    page.write_text("<!-- budget -->\n<!-- end of budget -->\n")
    options = BudgetOptions(worlds=2, seed=3, jobs=1, write_docs=True)
    command.run(options, ["budget", "--worlds", "2"], page)
    text = block(page, "budget")
    assert "| ours |" in text
    assert "python -m benchmarks budget --worlds 2" in text
    assert "(budget.svg)" in text
    assert "part of the worlds below" in (tmp_path / "budget.svg").read_text()
    assert "fixed order" in capsys.readouterr().err


def test_one_world_is_shown_with_its_facts_and_decisions(capsys):
    assert main(["budget", "--seed", "3", "--world", "2", "--trace"]) == 0
    told = capsys.readouterr().out
    for expected in ("world 2 of seed 3", "budget ", "rung 1: passes [1]", "best: ", "StartRung(rung=0"):
        assert expected in told
    for way in WAYS:
        assert f"{way.name}: " in told


def test_a_trace_of_all_worlds_is_refused():
    with pytest.raises(KitError, match="one world"):
        command.run(BudgetOptions(trace=True), ["budget", "--trace"])
