"""A simulated world: an ensemble, a hidden test set, a machine and a budget, all drawn from two numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.budget import ensembles, machines, stopping
from benchmarks.budget.draws import Random, chance, log_even
from benchmarks.budget.machine import Machine
from benchmarks.budget.stopping import Stopping
from benchmarks.budget.truth import Floats, Truth
from kit.ensemble import Ensemble
from kit.plan.costs import reserve_seconds

_MOST_TASKS = 500
"""Passes x images, so that 2000 worlds take minutes."""
_HOUR = 3600.0
_STOPPING = 0.4
"""Part of the worlds whose ensembles have limits of early stopping."""


@dataclass(frozen=True)
class World:
    """Everything that decides how a run ends, beside the policy.

    Attributes:
        seed: of all worlds.
        number: of this one.
        ensemble: as `ensemble.json` describes it.
        images: id -> megapixels of the hidden test set.
        planned: megapixels of the test set that the ensemble was planned for.
        budget: seconds.
        share: part of the whole ladder that fits into the budget, if nothing goes wrong.
        truth: what predictions are worth.
        machine: how long all takes.
        stopping: which images stop at which rung.
    """

    seed: int
    number: int
    ensemble: Ensemble
    images: dict[str, float]
    planned: float
    budget: float
    share: float
    truth: Truth
    machine: Machine
    stopping: Stopping

    @property
    def deadline(self) -> float:
        """Second at which the last task has to be finished."""
        return self.budget - reserve_seconds(self.budget, self.ensemble.reserve_seconds)


def world_of(seed: int, number: int, *, nested: bool = False) -> World:
    """Return a world; a pure function of its arguments.

    Args:
        seed: of all worlds.
        number: of this one.
        nested: the ensemble has no other rungs than those of the greedy ladder; all else stays as it is.
    """
    random = np.random.default_rng([seed, number])
    mixes = chance(random, 0.5)
    members, views = ensembles.size(random)
    images = max(8, min(int(log_even(random, 8, 61)), _MOST_TASKS // (members * views)))
    megapixels_I = _megapixels(random, images, mixes=mixes)
    drawn = ensembles.draw(random, members, views, images, mixes=mixes, nested=nested)
    budget, share = _budget(random), log_even(random, 0.15, 2.5)
    until = budget - reserve_seconds(budget, ensembles.RESERVE)
    machine, unit, fixed_M = machines.draw(
        random, drawn, megapixels_I, budget=budget, until=until, share=share
    )
    # Where the ensemble was priced, the fixed costs of an image were part of its seconds per megapixel.
    prior_M = unit * drawn.priors * (1.0 + fixed_M / (unit * drawn.rates * megapixels_I.mean()))
    ensemble = ensembles.written(drawn, prior_M)
    # Numbers of their own: worlds in which nobody stops are what they were without early stopping.
    other = np.random.default_rng([seed, number, 1])
    stops = chance(other, _STOPPING)
    found = stopping.draw(other, ensemble, images) if stops else stopping.never(len(ensemble.rungs), images)
    return World(
        seed=seed,
        number=number,
        ensemble=found.limited(ensemble),
        images={f"image{image:02d}": float(value) for image, value in enumerate(megapixels_I)},
        planned=float(megapixels_I.sum()) / log_even(random, 0.3, 3),
        budget=budget,
        share=share,
        truth=replace(drawn.truth, gains=found.gains),
        machine=machine,
        stopping=found,
    )


def _megapixels(random: Random, images: int, *, mixes: bool) -> Floats:
    """Draw slides of very different sizes, or tiles that are more alike."""
    mean = log_even(random, 1, 1000) if mixes else log_even(random, 0.25, 4)
    spread = random.uniform(0.1, 0.8) if mixes else random.choice([0.0, 0.2, 0.5])
    return np.asarray(mean * np.exp(spread * random.standard_normal(images)))


def _budget(random: Random) -> float:
    """Draw a competition's limit, or a shorter one of a rehearsal."""
    drawn = random.random()
    if drawn < 0.35:
        return 9 * _HOUR
    if drawn < 0.45:
        return 12 * _HOUR
    return log_even(random, 900, 9 * _HOUR) if drawn < 0.85 else log_even(random, 120, 900)
