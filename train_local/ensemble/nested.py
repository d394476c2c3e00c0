"""Ladders with scores of images that their search did not see (nested cross-validation)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from train_local.ensemble import static_weighting
from train_local.ensemble.parts import others
from train_local.ensemble.scores import Assigned, Scores
from train_local.ensemble.search import Candidate, Step, at_cost, search_ladder

OnStep = Callable[[int | None, Step], None]
"""Called with the number of the part that a search does not see (None: it sees all), and the step."""


@dataclass(frozen=True)
class ScoredStep:
    """A step of the ladder that all images were tuned on, with its scores.

    Attributes:
        step: the step; `step.score` was fitted on all images.
        cv: the score of images that the search did not see; nan with one image only.
        error: standard error of `cv` (jackknife over the parts); nan with fewer than two parts.
        static: `cv` of the baseline at no more cost; None with one image or one candidate only.
    """

    step: Step
    cv: float
    error: float
    static: float | None


def cross_validated(
    scores: Scores,
    candidates: Sequence[Candidate],
    parts: Sequence[Sequence[str]],
    *,
    keep_all: bool = False,
    on_step: OnStep | None = None,
) -> list[ScoredStep]:
    """Search a ladder on all images, and score each of its steps on images that a search did not see.

    For each part, the whole search is done again on the other parts: what is added, with which weights,
    thresholds and calibrations. The images of that part are then predicted with the ladder that did not see
    them, by its last step that costs no more. Five parts, a step that costs 4:

        part   ladder of the other four parts, costs      predicted with
        1      a 1, a + b 3, a + b + c 7                  a + b
        2      a 1, a + c 4                               a + c
        ...

    The metric over all images, each predicted so, is the step's `cv`: what the search promises for this cost.

    Args:
        scores: of the held-out images that count (`train_local.ensemble.parts.reference_images`); all scores
            are of all of them.
        candidates: recipe views that held some of them out.
        parts: of these images.
        keep_all: do not stop where nothing gains.
        on_step: told of each step of each search.
    """
    steps = search_ladder(scores, candidates, scores.ids, keep_all=keep_all, on_step=_told(on_step, None))
    if not steps:
        return []
    ladders = [
        search_ladder(
            scores, candidates, others(parts, number), keep_all=keep_all, on_step=_told(on_step, number)
        )
        for number in range(len(parts))
        if len(parts) > 1
    ]
    fronts = [
        static_weighting.front(scores, candidates, others(parts, number))
        for number in range(len(parts))
        if len(parts) > 1 and len(candidates) > 1
    ]
    ours = [_assigned(step, parts, ladders) for step in steps]
    theirs = [_assigned(step, parts, fronts) for step in steps]
    fitted = [dict.fromkeys(scores.ids, Assigned(step.selection, step.settings)) for step in steps]
    scores.count([*ours, *theirs, *fitted])
    return [
        ScoredStep(
            step=Step(step.selection, step.settings, scores.score(own), step.cost),
            cv=scores.score(held_out) if held_out else math.nan,
            error=_jackknife(scores, held_out, parts),
            static=scores.score(baseline) if baseline else None,
        )
        for step, own, held_out, baseline in zip(steps, fitted, ours, theirs, strict=True)
    ]


def _told(on_step: OnStep | None, number: int | None) -> Callable[[Step], None] | None:
    return None if on_step is None else lambda step: on_step(number, step)


def _assigned(
    step: Step, parts: Sequence[Collection[str]], ladders: Sequence[Sequence[Step]]
) -> dict[str, Assigned]:
    """Return what each image is predicted with by the ladder that did not see it, at the cost of a step.

    Empty if there are no such ladders: with one image, nothing is unseen.
    """
    found: dict[str, Assigned] = {}
    if not ladders or not all(ladders):
        return found
    for part, ladder in zip(parts, ladders, strict=True):
        chosen = at_cost(ladder, step.cost)
        found.update(dict.fromkeys(sorted(part), Assigned(chosen.selection, chosen.settings)))
    return found


def _jackknife(scores: Scores, assigned: Mapping[str, Assigned], parts: Sequence[Collection[str]]) -> float:
    """Return the standard error of the score of all images, from the scores without one part each."""
    # Scores without part 1, 2 and 3: 0.80, 0.82 and 0.84. Their mean is 0.82, the squared differences sum to
    # 0.0008, and the error is the root of 2 / 3 * 0.0008 = 0.023.
    without = []
    for part in parts:
        unseen = frozenset(part)
        left = {image_id: how for image_id, how in assigned.items() if image_id not in unseen}
        if left and len(left) < len(assigned):
            without.append(scores.score(left))
    if len(without) < 2:
        return math.nan
    spread = np.array(without) - np.mean(without)
    return float(np.sqrt((len(without) - 1) / len(without) * np.sum(spread**2)))


def front_of(steps: Sequence[ScoredStep]) -> list[int]:
    """Return the places of the steps that are on the front of score against cost.

    The first step stays, and each further one whose score of unseen images is above all cheaper ones. With
    one image there are no unseen ones, and the fitted score counts. Steps of 0.80, 0.83, 0.82 and 0.84 become
    0.80, 0.83 and 0.84: the third one costs more than the second and promises less.
    """
    kept: list[int] = []
    best = -math.inf
    for place, scored in enumerate(steps):
        value = scored.step.score if math.isnan(scored.cv) else scored.cv
        if value > best or not kept:
            kept.append(place)
            best = value
    return kept
