from pathlib import Path

from kit.ensemble import Member
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
