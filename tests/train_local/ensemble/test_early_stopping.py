"""Early stopping where doubts tell, or do not tell, on which images a dear recipe is better."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.ensemble import Rung
from kit.images.info import ImageInfo
from kit.masks import rle
from kit.predictions import SemanticMask
from train_local.ensemble.early_stopping import SHARES, early_stops, limit_of
from train_local.ensemble.ladder import LadderRung
from train_local.ensemble.nested import assigned, cross_validated
from train_local.ensemble.search import Candidate
from train_local.ensemble.semantic_scores import HeldOut, SemanticScores
from train_local.ensemble.trial import RecipeView

SIDE = 20
CHEAP, DEAR = (RecipeView(name, "identity") for name in ("cheap", "dear"))
COSTS = {CHEAP: 1.0, DEAR: 9.0}


def scores_of(folder, errors, seed=0):
    """Squares that two recipes find; `errors` has for each image the errors of the cheap and the dear one."""
    random, held = np.random.default_rng(seed), {}
    for number, of_image in enumerate(errors):
        mask_HW = np.zeros((SIDE, SIDE), bool)
        top, left = random.integers(2, 8, 2)
        mask_HW[top : top + 10, left : left + 10] = True
        maps = {}
        for view, error in zip((CHEAP, DEAR), of_image, strict=True):
            logit_HW = np.where(mask_HW, 2.0, -2.0) + random.normal(0, error, mask_HW.shape)
            maps[view] = folder / f"{view.recipe}-{number}.npy"
            np.save(maps[view], np.uint16(65535 / (1 + np.exp(-logit_HW))))
        truth = SemanticMask(SIDE, SIDE, rle.encode(mask_HW))
        held[f"image{number:02d}"] = HeldOut(truth, maps, ImageInfo())
    return SemanticScores(held, processes=1)


def stopping(scores, parts=5):
    """Search a ladder of the two recipes, and tune its early stopping."""
    candidates = [Candidate(view, cost) for view, cost in COSTS.items()]
    groups = [scores.ids[number::parts] for number in range(parts)]
    steps = cross_validated(scores, candidates, groups, keep_all=True).steps
    rungs = [
        LadderRung(
            rung=Rung(passes=list(range(number + 1)), weights=[1.0] * (number + 1), settings={}, cv=step.cv),
            added="",
            seconds=step.step.cost,
            fitted=step.step.score,
            error=step.error,
            static=None,
            scored=step,
        )
        for number, step in enumerate(steps)
    ]
    return rungs, groups, early_stops(scores, rungs, {0, 1}, groups, dict.fromkeys(scores.ids, 1.0))


def test_images_that_the_cheap_recipe_is_sure_of_stop_and_the_score_of_unseen_images_stays(tmp_path):
    scores = scores_of(tmp_path, [(0.3, 0.3)] * 12 + [(1.8, 1.0)] * 8)
    rungs, groups, (first, last) = stopping(scores)
    assert rungs[0].scored.step.selection.recipe_views == (CHEAP,)
    assert first.stop is not None
    assert 0.5 <= first.stop.share <= 0.7
    assert last.stop is None
    assert last.score >= last.without
    assert last.score == first.stop.cv
    assert last.cost == pytest.approx(1 - first.stop.share * 0.9)
    step = rungs[0].scored.step
    unseen = assigned(groups, rungs[0].scored.of_parts)
    final = {
        image_id: replace(how, selection=step.selection, settings=step.settings)
        for image_id, how in unseen.items()
    }
    doubts = scores.doubts(final)
    assert max(doubts[image_id] for image_id in scores.ids[:12]) < min(
        doubts[image_id] for image_id in scores.ids[12:]
    )
    assert np.mean([doubt < first.stop.below for doubt in doubts.values()]) in SHARES


def test_where_the_dear_recipe_is_better_on_every_image_nobody_stops(tmp_path):
    _, _, reached = stopping(scores_of(tmp_path, [(1.2, 0.8)] * 15))
    assert [one.stop for one in reached] == [None, None]
    assert [one.cost for one in reached] == pytest.approx([1, 1])
    assert [one.score for one in reached] == pytest.approx([one.without for one in reached])


def test_with_few_images_or_nothing_dearer_nobody_stops(tmp_path):
    scores = scores_of(tmp_path, [(0.3, 0.3)] * 7)
    rungs, groups, reached = stopping(scores)
    assert all(one.stop is None for one in reached)
    alone = early_stops(scores, rungs[:1], {0}, groups, dict.fromkeys(scores.ids, 1.0))
    assert [one.stop for one in alone] == [None]


def test_rungs_off_the_main_path_stop_nobody_and_unmeasured_ones_are_left_out(tmp_path):
    scores = scores_of(tmp_path, [(0.3, 0.3)] * 12 + [(1.8, 1.0)] * 8)
    rungs, groups, _ = stopping(scores)
    sizes = dict.fromkeys(scores.ids, 1.0)
    assert [one.rung for one in early_stops(scores, rungs, {1}, groups, sizes)] == [1]
    unmeasured = [*rungs, replace(rungs[1], scored=None)]
    assert [one.rung for one in early_stops(scores, unmeasured, {0, 1, 2}, groups, sizes)] == [0, 1]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(SHARES))
def test_no_more_than_the_share_is_below_the_limit(doubts, share):
    below = sum(doubt < limit_of(doubts, share) for doubt in doubts)
    assert below <= round(share * len(doubts))
    if len(set(doubts)) == len(doubts) and 0 < round(share * len(doubts)) < len(doubts):
        # Neighbours may be so close that nothing lies between them.
        assert below >= round(share * len(doubts)) - 1
