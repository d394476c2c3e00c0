from dataclasses import replace
from pathlib import Path

from kit.ensemble import EarlyStop, Member, WindowSkip
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.ladder import Unscored, build_ladder
from train_local.ensemble.nested import ScoredStep, Searched
from train_local.ensemble.search import Step
from train_local.ensemble.trial import RecipeView, Selection


def run(recipe, fold):
    name = f"{recipe}.fold{fold}"
    member = Member(
        name=name, weights="w", sha256=name.encode().hex(), size=1, network={}, inference={}, requires=[]
    )
    return FinishedRun(recipe, member, Path("w"), ("identity",), {}, {"identity": 1.0})


def step(*recipes):
    selection = Selection(tuple(RecipeView(name, "identity") for name in recipes), (1.0,) * len(recipes))
    calibration = {f"{name}.fold{fold}": {"kind": "temperature"} for name in recipes for fold in (0, 1)}
    settings = {"iou": 0.7, "calibration": calibration}
    score = 0.5 + 0.1 * len(recipes)
    return ScoredStep(Step(selection, settings, score, float(len(recipes))), score, 0.01, None)


def subset(*recipes, cv, cost, share=None):
    found = step(*recipes)
    return replace(found, step=replace(found.step, cost=cost), cv=cv, share=share)


def test_a_ladder_ends_with_all_its_passes_even_if_its_best_rung_has_not():
    steps = [
        subset("a", cv=0.5, cost=1),
        subset("a", "b", cv=0.6, cost=2),
        subset("a", "b", "c", cv=0.7, cost=4),
    ]
    best = subset("a", "c", cv=0.8, cost=3, share=0.75)
    # "z" was to come in without a score, and nobody trained it.
    unscored = [Unscored("z", ("identity",), before=frozenset())]
    ladder = build_ladder(
        Searched(steps, [best]), [run(recipe, 0) for recipe in "abc"], lambda _: 1.0, unscored
    )
    assert [item.rung.passes for item in ladder.rungs] == [[0], [0, 1], [0, 2], [0, 1, 2]]


def test_a_subset_that_beats_the_whole_ladder_ends_it_and_what_it_lacks_is_left_out():
    steps = [
        subset("a", cv=0.5, cost=1),
        subset("a", "b", cv=0.6, cost=2),
        subset("a", "b", "c", cv=0.7, cost=4),
    ]
    best = subset("a", "c", cv=0.8, cost=3, share=0.75)
    ladder = build_ladder(Searched(steps, [best]), [run(recipe, 0) for recipe in "abc"], lambda _: 1.0)
    assert [item.run.recipe for item in ladder.passes] == ["a", "c"]
    assert [item.rung.passes for item in ladder.rungs] == [[0], [0, 1]]


def test_early_stopping_is_set_rung_by_rung():
    runs = [run(recipe, 0) for recipe in "ab"]
    ladder = build_ladder(Searched([step("a"), step("a", "b")], []), runs, lambda _: 1.0)
    stop, skip = EarlyStop(below=0.5, share=0.3, cv=0.6), WindowSkip(below=0.5, share=0.4, cv=0.6)
    stopping = ladder.stopping({0: stop}, {1: skip})
    assert [(item.rung.stop, item.rung.skip) for item in stopping.rungs] == [(stop, None), (None, skip)]
    assert stopping.passes == ladder.passes


def test_a_rung_with_a_member_that_nobody_scored_has_no_calibrations():
    runs = [run(recipe, fold) for recipe in ("a", "b", "c") for fold in (0, 1)]
    unscored = [Unscored("c", ("identity",), before=frozenset({"b"}))]
    ladder = build_ladder(Searched([step("a"), step("a", "b")], []), runs, lambda _: 1.0, unscored)
    assert [item.added for item in ladder.rungs] == [
        "a identity",
        "c (not measured)",
        "b identity",
        "run 2 of each recipe (not measured)",
    ]
    assert [bool(item.rung.settings["calibration"]) for item in ladder.rungs] == [True, False, False, False]
    assert {item.rung.settings["iou"] for item in ladder.rungs} == {0.7}
    alone = build_ladder(Searched([step("a"), step("a", "b")], []), runs[:4], lambda _: 1.0)
    assert all(item.rung.settings["calibration"] for item in alone.rungs)
