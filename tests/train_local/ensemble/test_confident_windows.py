"""Skipped windows: blocks counted as a plain calculation does, and limits that cost unseen slides nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kit.ensemble import Member, Rung
from kit.images.info import ImageInfo
from kit.inference import semantic_blocks
from kit.masks import rle
from kit.predictions import SemanticMask
from train_local.ensemble import block_counts
from train_local.ensemble.block_counts import BlockRequest, count_blocks
from train_local.ensemble.confident_windows import LIMITS, Seen
from train_local.ensemble.early_stopping import early_stops
from train_local.ensemble.ladder import LadderRung
from train_local.ensemble.nested import ScoredStep
from train_local.ensemble.scores import Assigned
from train_local.ensemble.search import Step
from train_local.ensemble.semantic_scores import HeldOut, SemanticScores
from train_local.ensemble.trial import RecipeView, Selection

BLOCK, SIDE = 8, 96
CHEAP, DEAR = (RecipeView(name, "identity") for name in ("cheap", "dear"))
COSTS = {CHEAP: 1.0, DEAR: 9.0}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(semantic_blocks, "BLOCK", BLOCK)
    monkeypatch.setattr(block_counts, "BLOCK", BLOCK)


def dice(mask_HW, truth_HW):
    total = mask_HW.sum() + truth_HW.sum()
    return 2 * (mask_HW & truth_HW).sum() / total if total else 1.0


def of_pixels(values, size):
    return np.kron(values, np.ones((BLOCK, BLOCK)))[: size[0], : size[1]]


@pytest.mark.parametrize("size", [(40, 56), (37, 29)])
@pytest.mark.parametrize("seed", range(3))
def test_the_pixels_of_kept_blocks_are_those_of_maps_in_which_they_were_replaced(tmp_path, size, seed):
    random = np.random.default_rng(seed)
    blocks = [-(-side // BLOCK) for side in size]
    coarse = random.choice([0.02, 0.3, 0.9], blocks)
    maps = [
        np.clip(of_pixels(coarse, size) + random.normal(0, 0.1, size), 0, 1).astype(np.float32)
        for _ in range(3)
    ]
    paths = tuple(tmp_path / f"{number}.npy" for number in range(3))
    for path, map_HW in zip(paths, maps, strict=True):
        np.save(path, np.uint16(map_HW * 65535))
    maps = [np.load(path) / 65535 for path in paths]
    truth_HW = of_pixels(coarse, size) + random.normal(0, 0.2, size) > 0.35
    weights = np.array([[1, 0, 0], [1, 2, 0], [2, 1, 1], [0, 0, 0]], float)
    thresholds = [0.4, 0.35, 0.25, 0.5]
    found = count_blocks(
        BlockRequest(
            paths,
            SemanticMask(*size, rle.encode(truth_HW)),
            weights,
            np.array(thresholds),
            ((0, 1), (0, 2), (1, 2)),
        )
    )
    fused = [np.average(maps, axis=0, weights=row) for row in weights[:3]]
    for rung in range(3):
        assert found.dice(rung) == pytest.approx(dice(fused[rung] >= thresholds[rung], truth_HW))
    assert np.isnan(found.dice(3)), "no map of this rung is there"
    finite = np.unique(found.doubts[0][np.isfinite(found.doubts[0])])
    assert len(finite) > 2
    for base, rung in ((0, 1), (0, 2), (1, 2)):
        for below in (0.0, float(np.median(finite)), 1e9):
            kept = found.confident(base, below)
            kept_HW = of_pixels(~np.isnan(kept.means), size) > 0
            mean_HW = of_pixels(np.nan_to_num(kept.means), size)
            replaced = [
                map_HW if weights[base][number] else np.where(kept_HW, mean_HW, map_HW)
                for number, map_HW in enumerate(maps)
            ]
            mask_HW = np.average(replaced, axis=0, weights=weights[rung]) >= thresholds[rung]
            assert found.dice(rung, base, below) == pytest.approx(dice(mask_HW, truth_HW), abs=2e-3)


def scores_of(folder, *, slides=2, missed=False):
    """Squares in the right half of slides, which the dear recipe finds better.

    Args:
        folder: for the maps.
        slides: their number.
        missed: the cheap recipe is sure that there is nothing in half of the squares.
    """
    held = {}
    for number in range(slides):
        random, truth_HW = np.random.default_rng(number), np.zeros((SIDE, SIDE), bool)
        sure_HWs = {view: np.ones((SIDE, SIDE), bool) for view in COSTS}
        for square in range(8):
            top, left = random.integers(0, SIDE - 12), random.integers(SIDE // 2, SIDE - 12)
            truth_HW[top : top + 12, left : left + 12] = True
            for view in COSTS if square % 2 == 0 or not missed else (DEAR,):
                sure_HWs[view][max(top - 6, 0) : top + 18, max(left - 6, 0) : left + 18] = False
        maps = {}
        for view, error in ((CHEAP, 1.5), (DEAR, 0.8)):
            logit_HW = np.where(truth_HW, 2.0, -2.0) + random.normal(0, error, truth_HW.shape)
            logit_HW = np.where(sure_HWs[view], -9 + random.normal(0, 0.3, truth_HW.shape), logit_HW)
            maps[view] = folder / f"{view.recipe}-{number}.npy"
            np.save(maps[view], np.uint16(65535 / (1 + np.exp(-logit_HW))))
        held[f"slide{number}"] = HeldOut(SemanticMask(SIDE, SIDE, rle.encode(truth_HW)), maps, ImageInfo())
    return SemanticScores(held, processes=1)


def member(**inference):
    return Member(name="m", weights="w", sha256="0", size=1, network={}, inference=inference, requires=[])


WINDOWS = {"core": 16, "context": 4, "scale": 1.0}


def steps_of(scores):
    """The cheap recipe, then both, as if a search without each slide had found the same."""
    for views in ((CHEAP,), (CHEAP, DEAR)):
        selection, cost = Selection(views, (1.0,) * len(views)), sum(COSTS[view] for view in views)
        settings = scores.tune(selection, scores.ids, {})
        score = scores.score(dict.fromkeys(scores.ids, Assigned(selection, settings)))
        step = Step(selection, settings, score, cost)
        yield ScoredStep(step, score, math.nan, None, of_parts=(step,) * len(scores.ids))


def tuned(scores, **dear):
    """Tune what is skipped of a ladder of the two recipes."""
    parts = [(image_id,) for image_id in scores.ids]
    steps = list(steps_of(scores))
    if len(parts) == 1:
        steps = [replace(step, of_parts=()) for step in steps]
    rungs = [
        LadderRung(
            rung=Rung(
                passes=list(range(number + 1)), weights=[1.0] * (number + 1), settings={}, cv=step.promise
            ),
            added="",
            seconds=step.step.cost,
            fitted=step.step.score,
            error=step.error,
            static=None,
            scored=step,
        )
        for number, step in enumerate(steps)
    ]
    seen = Seen(
        sizes=dict.fromkeys(scores.ids, (SIDE, SIDE)),
        infos=dict.fromkeys(scores.ids, ImageInfo()),
        members={CHEAP: member(**WINDOWS), DEAR: member(**(dear or WINDOWS))},
        cost_of=COSTS.__getitem__,
    )
    return early_stops(scores, rungs, {0, 1}, parts, dict.fromkeys(scores.ids, 1.0), seen=seen)


def test_of_two_slides_the_confident_half_is_skipped_and_no_score_falls(tmp_path):
    first, last = tuned(scores_of(tmp_path))
    assert (first.stop, last.stop, last.skip) == (None, None, None), "two slides are too few to stop images"
    assert first.skip.below in LIMITS
    assert 0.4 < first.skip.share < 0.9
    assert last.cost == pytest.approx((1 + 9 * (1 - first.skip.share)) / 10)
    assert last.score == first.skip.cv >= last.without - 1e-9
    assert (first.cost, first.score) == (1.0, pytest.approx(first.without))


def test_where_the_cheap_recipe_is_sure_of_what_is_wrong_nothing_is_skipped(tmp_path):
    reached = tuned(scores_of(tmp_path, missed=True))
    assert [(one.skip, one.cost) for one in reached] == [(None, 1.0), (None, 1.0)]


def test_a_member_that_sees_images_at_once_skips_nothing(tmp_path):
    first, last = tuned(scores_of(tmp_path), size=SIDE)
    assert (first.skip, last.cost) == (None, 1.0)


def test_one_slide_has_no_unseen_score_and_skips_nothing(tmp_path):
    assert [one.skip for one in tuned(scores_of(tmp_path, slides=1))] == [None, None]
