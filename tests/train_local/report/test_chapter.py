from pathlib import Path

from train_local.report.chapter import ranked
from train_local.report.runs import RunRecord, by_recipe


def record(recipe, fold, metric):
    done = {"complete": True, "metric": metric}
    return RunRecord(recipe, fold, Path(), {}, [], done, None)


def test_a_high_score_of_one_fold_alone_does_not_make_the_best_recipe():
    scores = {("lucky", 0): 0.9, ("low", 0): 0.4, ("low", 1): 0.5, ("high", 0): 0.6, ("high", 1): 0.7}
    runs = [record(recipe, fold, metric) for (recipe, fold), metric in scores.items()]
    runs.append(record("full data", 0, None))
    assert [item.recipe for item in ranked(by_recipe(runs))] == ["high", "low", "lucky"]
