"""The best choice with hindsight: which rungs to go through in a world of which everything is known.

Every choice is run like any other way, with the real ladder and a policy that goes straight for its rungs.
There are many choices, so those that promise most are run first, and a choice that could not be better than
what was reached is not run at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.budget.events import Ended
from benchmarks.budget.truth import Floats
from benchmarks.budget.ways import Straight, Way
from benchmarks.budget.world import World
from kit.local.wording import counted

_MOST_RUNS = 8
"""Choices that are run at most."""


@dataclass(frozen=True)
class Choice:
    """A choice and what it reaches at most.

    Attributes:
        rungs: to go through.
        first: images that the last rung begins with, the most useful first.
        bound: no run that makes this choice scores more, unless a fault helps it.
    """

    rungs: tuple[int, ...]
    first: tuple[str, ...]
    bound: float

    def __str__(self) -> str:
        names = ", then ".join(f"rung {rung + 1}" for rung in self.rungs)
        return f"{names} over {counted(len(self.first), 'image')} first" if self.first else names


def best_choice(world: World, reached: float) -> tuple[Ended | None, Choice | None]:
    """Return the best run of all choices and its choice; None if none reaches more than the ways did.

    Args:
        world: in which the choices are run.
        reached: the best score of any way.
    """
    found: tuple[Ended | None, Choice | None] = (None, None)
    for choice in sorted(choices(world), key=lambda choice: -choice.bound)[:_MOST_RUNS]:
        if choice.bound <= reached:
            break
        way = Way(str(choice), lambda _, choice=choice: Straight(choice.rungs, choice.first), mixes=True)  # type: ignore[misc]
        ended = way.run(world)
        if ended.score > reached:
            reached, found = ended.score, (ended, choice)
    return found


def choices(world: World) -> Iterator[Choice]:
    """Yield what can be chosen: a rung, a rung over some images first, a way over several rungs."""
    rungs = world.ensemble.rungs
    scores = [world.truth.scores_I(rung.passes) for rung in rungs]
    seconds = [_seconds(world, rung.passes) for rung in rungs]
    spare = world.machine.capacity(world.deadline)
    names = list(world.images)
    for rung in range(len(rungs)):
        left = spare - _loads(world, rungs[rung].passes)
        taken = _fill(scores[rung], seconds[rung], left)
        bound = _bound(scores[rung], seconds[rung], left)
        yield Choice((rung,), (), bound)
        if world.truth.mixes and len(taken) < len(names):
            yield Choice((rung,), tuple(names[image] for image in taken), bound)
        for path in _paths(world, rung):
            yield from _over(world, path, scores, seconds, left)


def _paths(world: World, end: int) -> Iterator[tuple[int, ...]]:
    """Yield ways to a rung over others: those whose rows may stay, and those at which images stop."""
    rungs = world.ensemble.rungs
    inner = [rung for rung in range(end) if set(rungs[rung].passes) < set(rungs[end].passes)]
    stops = [rung for rung in inner if rungs[rung].stop is not None]
    for base in range(end):
        if rungs[base].stop is not None or (world.truth.mixes and base in inner):
            yield base, end
    for count in range(2, len(stops) + 1):
        yield from ((*some, end) for some in combinations(stops, count))


def _over(
    world: World, path: tuple[int, ...], scores: Sequence[Floats], seconds: Sequence[Floats], left: float
) -> Iterator[Choice]:
    """Yield what a way over some rungs reaches, where the first one is done over all images."""
    rungs, base, end = world.ensemble.rungs, path[0], path[-1]
    end_I = np.full(len(world.images), end)
    for rung in reversed(path[:-1]):
        if (stop := rungs[rung].stop) is not None:
            end_I[world.stopping.doubts[rung] < stop.below] = rung
    gains, more = np.zeros(len(end_I)), np.zeros(len(end_I))
    # What the first rung has done counts for the others only if they contain it.
    shared = seconds[base] if set(rungs[base].passes) < set(rungs[end].passes) else 0.0 * seconds[base]
    for rung in path:
        here = end_I == rung
        value_I = scores[end] if rung == end else world.truth.stopped_I(rungs[rung].passes, rungs[end].passes)
        gains[here] = (value_I - scores[base])[here]
        more[here] = (seconds[rung] - shared)[here] if rung != base else 0.0
    rest = left - float(seconds[base].sum())
    going = np.flatnonzero(more > 0)
    if rest <= 0 or not len(going):
        return
    taken = [int(going[item]) for item in _fill(gains[going], more[going], rest)]
    whole = len(taken) == len(going)
    if len(going) == len(end_I) and (whole or not taken):
        return  # as good as the last rung or the first one alone
    part = len(going) / len(end_I)
    stay = float(scores[base].mean() + gains[more <= 0].sum() / len(end_I))
    bound = stay + part * _bound(gains[going], more[going], rest)
    names = list(world.images)
    first = () if whole or not world.truth.mixes else tuple(names[image] for image in taken)
    yield Choice(path, first, bound)


def _seconds(world: World, passes: list[int]) -> Floats:
    machine = world.machine
    return np.asarray(machine.seconds[0, passes].sum(axis=0) + machine.fuse * len(passes))


def _loads(world: World, passes: list[int]) -> float:
    members = {world.ensemble.passes[index].member for index in passes}
    return float(sum(world.machine.loads[member] for member in members))


def _order(gains_I: Floats, seconds_I: Floats) -> list[int]:
    return [int(image) for image in np.argsort(-gains_I / seconds_I, kind="stable")]


def _fill(gains_I: Floats, seconds_I: Floats, seconds: float) -> list[int]:
    """Return the images that fit, those with the most gain for their time first."""
    order = _order(gains_I, seconds_I)
    return [image for image, end in zip(order, np.cumsum(seconds_I[order]), strict=True) if end <= seconds]


def _bound(gains_I: Floats, seconds_I: Floats, seconds: float) -> float:
    """Return the largest mean gain in a time, if a part of an image could be had for a part of its time."""
    order = _order(gains_I, seconds_I)
    begins = np.cumsum(seconds_I[order]) - seconds_I[order]
    parts = np.clip((seconds - begins) / seconds_I[order], 0.0, 1.0)
    return float((gains_I[order] * parts).sum() / len(gains_I))
