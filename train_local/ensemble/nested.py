"""Ladders with scores of images that their search did not see (nested cross-validation)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from train_local.ensemble import static_weighting
from train_local.ensemble.parts import others
from train_local.ensemble.paths import ASKED, SHARES, best_subsets
from train_local.ensemble.scores import Assigned, Scores
from train_local.ensemble.search import Candidate, Step, at_cost, search_ladder, within_cost
from train_local.ensemble.trial import Selection

OnStep = Callable[[int | None, Step], None]
"""Called with the number of the part that a search does not see (None: it sees all), and the step."""


@dataclass(frozen=True)
class ScoredStep:
    """A step of the ladder that all images were tuned on, or a subset of it, with its scores.

    Attributes:
        step: the step; `step.score` was fitted on all images.
        cv: the score of images that the search did not see; nan with one image only.
        error: standard error of `cv` (jackknife over the parts); nan with fewer than two parts.
        static: `cv` of the baseline at no more cost; None with one image or one candidate only.
        share: of the ladder's cost, for which a subset is the best; None of a step of the ladder.
        of_parts: for each part the step that was found without it at no more cost; none with one image only.
    """

    step: Step
    cv: float
    error: float
    static: float | None
    share: float | None = None
    of_parts: tuple[Step, ...] = ()

    @property
    def promise(self) -> float:
        """What counts in comparisons: `cv`; with one image there are no unseen ones, and the fitted score."""
        return self.step.score if math.isnan(self.cv) else self.cv


@dataclass(frozen=True)
class Searched:
    """What was found, with scores of images that the search did not see.

    Attributes:
        steps: of the ladder; none if no recipe view held out all images.
        subsets: the best under shares of the ladder's cost, by rising share, none of them a step of it.
    """

    steps: list[ScoredStep]
    subsets: list[ScoredStep]


def cross_validated(
    scores: Scores,
    candidates: Sequence[Candidate],
    parts: Sequence[Sequence[str]],
    *,
    keep_all: bool = False,
    on_step: OnStep | None = None,
    on_asked: Callable[[int], None] | None = None,
) -> Searched:
    """Search a ladder and subsets of it on all images, and score them on images that a search did not see.

    For each part, the whole search is done again on the other parts: what is added, with which weights,
    thresholds and calibrations. The images of that part are then predicted with the ladder that did not see
    them, by its last step that costs no more. Five parts, a step that costs 4:

        part   ladder of the other four parts, costs      predicted with
        1      a 1, a + b 3, a + b + c 7                  a + b
        2      a 1, a + c 4                               a + c
        ...

    The metric over all images, each predicted so, is the step's `cv`: what the search promises for this cost.
    A subset that costs 4 is scored in the same way: part 1 is predicted with the best subset of at most 4
    that is found in its own ladder, on the other parts.

    Args:
        scores: of the held-out images that count (`train_local.ensemble.parts.reference_images`); all scores
            are of all of them.
        candidates: recipe views that held some of them out.
        parts: of these images.
        keep_all: do not stop where nothing gains.
        on_step: told of each step of each search.
        on_asked: told how many more subsets the searches asked for, or need not; `most_asked(parts)` in all.
    """
    steps = search_ladder(scores, candidates, scores.ids, keep_all=keep_all, on_step=_told(on_step, None))
    if not steps:
        return Searched([], [])
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
    of_parts = [_at_cost(ladders, step) for step in steps]
    unseen = [assigned(parts, chosen) for chosen in of_parts]
    whole = steps if keep_all else steps[: _end(scores, steps, unseen) + 1]
    subsets = _subsets(scores, candidates, parts, whole, ladders, on_asked=on_asked)
    every = [*steps, *(subset.step for subset in subsets)]
    of_parts += [subset.of_parts for subset in subsets]
    unseen += [assigned(parts, subset.of_parts) for subset in subsets]
    static = [assigned(parts, _at_cost(fronts, step)) for step in every]
    fitted = [dict.fromkeys(scores.ids, Assigned(step.selection, step.settings)) for step in every]
    scores.count([*unseen, *static, *fitted])
    shares = [*[None] * len(steps), *(subset.share for subset in subsets)]
    found = [
        ScoredStep(
            step=Step(step.selection, step.settings, scores.score(own), step.cost),
            cv=scores.score(held_out) if held_out else math.nan,
            error=_jackknife(scores, held_out, parts),
            static=scores.score(baseline) if baseline else None,
            share=share,
            of_parts=tuple(chosen),
        )
        for step, own, held_out, baseline, share, chosen in zip(
            every, fitted, unseen, static, shares, of_parts, strict=True
        )
    ]
    return Searched(found[: len(steps)], found[len(steps) :])


def most_asked(parts: Sequence[Sequence[str]]) -> int:
    """Return how many subsets the searches with these parts ask for, at most."""
    return (1 + (len(parts) if len(parts) > 1 else 0)) * len(SHARES) * ASKED


def _told(on_step: OnStep | None, number: int | None) -> Callable[[Step], None] | None:
    return None if on_step is None else lambda step: on_step(number, step)


def _at_cost(ladders: Sequence[Sequence[Step]], step: Step) -> list[Step]:
    """Return what each part's ladder gives at the cost of a step; nothing if a part has no ladder."""
    return [at_cost(ladder, step.cost) for ladder in ladders] if all(ladders) else []


def assigned(parts: Sequence[Collection[str]], chosen: Sequence[Step]) -> dict[str, Assigned]:
    """Return what each image is predicted with: by what was chosen for its part without seeing it.

    Empty if nothing was chosen: with one image, nothing is unseen.
    """
    found: dict[str, Assigned] = {}
    if chosen:
        for part, step in zip(parts, chosen, strict=True):
            found.update(dict.fromkeys(sorted(part), Assigned(step.selection, step.settings)))
    return found


def _end(scores: Scores, steps: Sequence[Step], unseen: Sequence[Mapping[str, Assigned]]) -> int:
    """Return the place of the step that promises most, as far as estimates tell; subsets are of this one."""
    estimates = [
        ScoredStep(step, scores.score(held_out) if held_out else math.nan, math.nan, None)
        for step, held_out in zip(steps, unseen, strict=True)
    ]
    return front_of(estimates)[-1]


@dataclass(frozen=True)
class _Found:
    """A subset, and for each part the subset that was found without it at no more cost."""

    share: float
    step: Step
    of_parts: list[Step]


def _subsets(
    scores: Scores,
    candidates: Sequence[Candidate],
    parts: Sequence[Sequence[str]],
    whole: Sequence[Step],
    ladders: Sequence[Sequence[Step]],
    *,
    on_asked: Callable[[int], None] | None,
) -> list[_Found]:
    """Search the best subsets of a ladder under shares of its cost, and again without each part."""
    left = most_asked(parts)

    def asked(subsets: int) -> None:
        nonlocal left
        left -= subsets
        if on_asked is not None:
            on_asked(subsets)

    costs = {item.recipe_view: item.cost for item in candidates}
    cost = whole[-1].cost
    # Nothing comes in front of the first step: what is written first has to be known to be good.
    shares = [share for share in SHARES if share * cost > whole[0].cost]
    best = best_subsets(scores, whole, costs, scores.ids, [share * cost for share in shares], on_asked=asked)
    found: dict[Selection, tuple[float, Step]] = {}
    for share, step in zip(shares, best, strict=True):
        if step is not None and step not in whole:
            found.setdefault(step.selection, (share, step))
    caps = [step.cost for _, step in found.values()]
    of_parts: list[list[Step]] = [[] for _ in found]
    for number, ladder in enumerate(ladders if found and all(ladders) else ()):
        seen = others(parts, number)
        chosen = best_subsets(scores, within_cost(ladder, cost), costs, seen, caps, on_asked=asked)
        for place, step in enumerate(chosen):
            of_parts[place].append(step or ladder[0])
    asked(left)
    return [_Found(share, step, of_parts[place]) for place, (share, step) in enumerate(found.values())]


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
        if scored.promise > best or not kept:
            kept.append(place)
            best = scored.promise
    return kept
