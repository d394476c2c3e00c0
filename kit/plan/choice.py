"""Which rung to work towards: the one whose route promises the best score when the time is up.

A route to a rung goes over all rungs that it contains, so that each of them can be published in between.
Where the metric scores every image alone, as mean Dice does, rows of different rungs may stand in one file,
and the part of a rung that is done counts, too. The AP of all images needs scores of one scale: there only
whole rungs count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kit.ensemble import Ensemble
from kit.plan.forecast import Forecast, Rest
from kit.plan.state import LadderState

LOOK_AGAIN = 0.02
"""Part of the time left after which the route is chosen again."""
_DEVIATIONS = tuple(step / 4 for step in range(-10, 11))
_WEIGHTS = tuple(math.exp(-step * step / 2) for step in _DEVIATIONS)
_EACH_RUNG = 1e-6
"""A further rung of the same score, such as further folds, is worth this."""


@dataclass(frozen=True)
class Route:
    """A route to a rung.

    Attributes:
        rungs: that it goes over and that are not done, in their order; the last one is its end.
        times: until each of them is done.
        score: expected when the time is up.
    """

    rungs: tuple[int, ...]
    times: tuple[Forecast, ...]
    score: float


@dataclass(frozen=True)
class Choice:
    """A route, and what was known when it was chosen.

    Attributes:
        left: seconds until the last task has to be finished.
        route: that was chosen.
    """

    left: float
    route: Route


class Choices(list[Choice]):
    """The choices of a run, in their order."""

    def note(self, left: float, route: Route) -> None:
        """Keep a choice, unless it is the last one again: a route that leads nowhere is chosen many times."""
        last = self[-1] if self else None
        if last is None or last.route.rungs != route.rungs or left <= last.left * (1 - LOOK_AGAIN):
            self.append(Choice(left, route))


def values_of(ensemble: Ensemble) -> list[float]:
    """Return what each rung is worth: its cross-validation, never less than that of a rung before it.

    A file without any prediction is worth 0.
    """
    # Losses are negative: with -0.08 and -0.06, the rungs are worth 0.08 and 0.1. Nobody knows the loss of
    # the fallback. That the worst rung halves it makes a first rung worth much more than a better one, as for
    # Dice.
    nothing = 2 * _least(ensemble)
    values: list[float] = []
    for position, rung in enumerate(ensemble.rungs):
        before = values[-1] - _EACH_RUNG * (position - 1) if values else 0.0
        known = before if rung.cv is None else max(rung.cv - nothing, before)
        values.append(known + _EACH_RUNG * position)
    return values


def _least(ensemble: Ensemble) -> float:
    """Return the worst cross-validation if it is a loss, else 0."""
    return min(0.0, *(rung.cv for rung in ensemble.rungs if rung.cv is not None), 0.0)


def best_done(state: LadderState) -> int | None:
    """Return the highest rung that is done; None if there is none."""
    done = (rung for rung in sorted(state.rungs.started, reverse=True) if state.settled(rung))
    return next(done, None)


def worthwhile(state: LadderState) -> list[int]:
    """Return the rungs that would make the submission better: those above the best that is done."""
    best = best_done(state)
    first = 0 if best is None else best + 1
    # Running means hold the passes of one path only.
    ensemble = state.ensemble
    allowed = ensemble.main_path if state.stored.averaging else range(len(ensemble.rungs))
    return [rung for rung in allowed if rung >= first and state.rungs.adds(rung)]


def best_route(state: LadderState, seconds: float, workers: int) -> Route | None:
    """Return the route with the best expected score; None if all rungs are done.

    Args:
        state: of the ladder.
        seconds: left until the last task has to be finished.
        workers: that compute in parallel.
    """
    # Of equal routes the shorter one: where nothing is likely to be done in time, what is nearest to it.
    found = all_routes(state, seconds, workers)
    return max(found, key=lambda route: (route.score, -route.times[-1].median), default=None)


def all_routes(state: LadderState, seconds: float, workers: int) -> list[Route]:
    """Return a route to each rung that may be done and would make the submission better.

    Args:
        state: of the ladder.
        seconds: left until the last task has to be finished.
        workers: that compute in parallel.
    """
    ensemble, rest = state.ensemble, Rest(state, workers)
    values = values_of(ensemble)
    open_rungs = [rung for rung in worthwhile(state) if rung in state.rungs.started or state.rungs.may_start]
    best = best_done(state)
    now = 0.0 if best is None else values[best]
    first = first_rung(open_rungs, rest) if best is None and open_rungs else None
    open_rungs = [rung for rung in open_rungs if first is None or rung >= first]
    routes = []
    for end in open_rungs:
        rungs = _contained(state, open_rungs, end)
        # The first rung is done over all images before any other, even if others do not contain it.
        if first is not None and rungs[0] != first:
            rungs = [first, *rungs]
        times = [rest.time(rungs[: number + 1]) for number in range(len(rungs))]
        score = _expected(now, [values[rung] for rung in rungs], times, seconds, part=ensemble.rows_may_mix)
        routes.append(Route(tuple(rungs), tuple(times), score))
    return routes


def first_rung(rungs: Sequence[int], rest: Rest) -> int:
    """Return the rung to begin with: the cheapest of some, or a better one instead that takes no longer.

    Args:
        rungs: that may be done, in their order.
        rest: knows how long they take.
    """
    # Rungs are in the order of their costs where the ensemble was made. Rung 1 takes 40 s here, rungs 2 and 3
    # of better scores and without its passes 30 and 60 s: rung 2 comes first, and rung 1 is left out. A rung
    # that contains rung 1 is no reason to leave it out: it is on the way.
    cheapest, live = rungs[0], rest.state.live_passes
    seconds, own = rest.time([cheapest]).median, set(live(cheapest))
    least = _least(rest.state.ensemble)
    scores = [least if rung.cv is None else rung.cv for rung in rest.state.ensemble.rungs]
    better = (rung for rung in rungs[1:] if scores[rung] > scores[cheapest])
    instead = (rung for rung in better if not own.issubset(live(rung)))
    return max((rung for rung in instead if rest.time([rung]).median <= seconds), default=cheapest)


def _contained(state: LadderState, open_rungs: Sequence[int], end: int) -> list[int]:
    """Return the rungs on the route to another one: each contains the one before, the last is the end."""
    # To [0, 1, 2, 3] over [0] and [0, 1], but not over [2], which does not contain [0].
    found: list[int] = [end]
    for rung in sorted((rung for rung in open_rungs if rung < end), reverse=True):
        if set(state.live_passes(rung)) < set(state.live_passes(found[-1])):
            found.append(rung)
    return found[::-1]


def _expected(
    now: float, values: Sequence[float], times: Sequence[Forecast], left: float, *, part: bool
) -> float:
    """Return the mean score over fast and slow courses of the run."""
    return sum(
        weight * _score(now, values, [time.at(step) for time in times], left, part=part)
        for step, weight in zip(_DEVIATIONS, _WEIGHTS, strict=True)
    ) / sum(_WEIGHTS)


def _score(now: float, values: Sequence[float], times: Sequence[float], left: float, *, part: bool) -> float:
    """Return the score when the time is up, if the rungs are done at these times."""
    # Scores 0.6 and 0.8, done after 100 s and 300 s, 200 s left: 0.6, or 0.7 where half of the second counts.
    score, before = now, 0.0
    for value, time in zip(values, times, strict=True):
        if time > left:
            # Of the first rung any row is better than none.
            counts = part or now == 0.0 == score
            share = (left - before) / (time - before) if counts and left > before else 0.0
            return score + max(0.0, value - score) * share
        score, before = max(score, value), max(before, time)
    return score
