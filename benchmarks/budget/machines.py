"""Draws machines: speeds, noise, stalls, drift, faults, workers that get lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.budget.draws import Random, chance, log_even
from benchmarks.budget.ensembles import Drawn
from benchmarks.budget.machine import TRIES, Device, Drift, Ending, Faults, Machine, SetUp
from benchmarks.budget.truth import Floats
from kit.plan.tasks import MAY_PASS
from submission.runtime.script.options import Options


def draw(
    random: Random, drawn: Drawn, megapixels_I: Floats, *, budget: float, until: float, share: float
) -> tuple[Machine, float, Floats]:
    """Draw a machine on which a share of the whole ladder fits into the budget.

    Args:
        random: source of the draws.
        drawn: the ensemble.
        megapixels_I: of the images.
        budget: seconds.
        until: second of the deadline.
        share: part of the whole ladder that is done then, if nothing goes wrong.

    Returns:
        The machine, the seconds of a unit of `drawn.rates`, and the seconds of each member on any image.
    """
    images, members, owners = len(megapixels_I), len(drawn.rates), list(drawn.owners)
    # Relative to the work on the mean image; a member's fixed cost is what it takes on any image.
    fixed_M = drawn.rates * megapixels_I.mean() * random.uniform(0.0, 0.3) * random.random(members)
    work_PI = drawn.rates[owners][:, None] * megapixels_I + fixed_M[owners][:, None]
    fuse_I = random.uniform(0.001, 0.01) * work_PI.mean(axis=0)
    set_up = _set_up(random, members, budget)
    machine = Machine(
        seconds=work_PI[None].repeat(TRIES, axis=0),
        loads=np.zeros(members),
        fuse=fuse_I,
        alone=random.uniform(1.0, 1.6),
        restart=random.uniform(5, 40) * min(1.0, budget / 3600),
        silence=Options(budget=budget).longest_silence,
        drift=_drift(random, budget),
        devices=_devices(random, budget),
        set_up=set_up,
        ending=_ending(random, images, budget),
        faults=_faults(random, members, len(owners), images),
    )
    unit = machine.capacity(until) / (work_PI.sum() + fuse_I.sum() * len(owners)) / share
    loads_M = np.array([log_even(random, 0.5, 30) for _ in range(members)])
    loads_M *= min(1.0, 0.05 * until / loads_M.sum())
    noise = log_even(random, 0.1, 0.4)
    seconds_TPI = (
        unit * work_PI * np.exp(noise * random.standard_normal((TRIES, *work_PI.shape)) - noise**2 / 2)
    )
    machine = replace(
        machine,
        seconds=seconds_TPI + _stalls(random, seconds_TPI.shape, budget),
        loads=loads_M,
        fuse=unit * fuse_I,
    )
    return machine, unit, unit * fixed_M


def _stalls(random: Random, shape: tuple[int, ...], budget: float) -> Floats:
    """Draw how much longer tasks take because a disk or another user of the machine makes them wait."""
    rate = random.choice([0.0, 0.0, 0.002, 0.01])
    # Rehearsals of minutes meet short ones: a single stall of five minutes would be all of their budget.
    return np.asarray(
        (random.random(shape) < rate) * random.uniform(30, 300, shape) * min(1.0, budget / 7200)
    )


def _set_up(random: Random, members: int, budget: float) -> SetUp:
    scale = min(1.0, budget / 1800)
    installed = random.uniform(10, 120) * scale
    gaps_M = log_even(random, 0.5, 20) * random.uniform(0.3, 1.7, members) * scale
    begin = installed * random.uniform(0.3, 1.0)
    absent = frozenset([int(random.integers(members))]) if chance(random, 0.03) else frozenset()
    return SetUp(installed, tuple((begin + gaps_M.cumsum()).tolist()), absent)


def _drift(random: Random, budget: float) -> Drift:
    drawn = random.random()
    if drawn < 0.5:
        return Drift((0.0,), (1.0,), steps=False)
    steps = drawn < 0.75
    knots = int(random.integers(1, 4)) + (0 if steps else 1)
    times = (0.0, *np.sort(random.uniform(0, budget, knots)).tolist())
    factors = (1.0, *(log_even(random, 0.6, 1.8) for _ in range(knots)))
    return Drift(times, factors, steps)


def _devices(random: Random, budget: float) -> tuple[Device, ...]:
    def lost() -> tuple[float | None, float | None]:
        return (
            (random.uniform(0.05, 0.95) * budget, random.uniform(10, 90))
            if chance(random, 0.08)
            else (None, None)
        )

    first = Device(1.0, *lost())
    if chance(random, 0.4):
        return (first,)
    slowness = 1.0 if chance(random, 0.6) else random.uniform(1.0, 2.0)
    if chance(random, 0.06):
        return (first, Device(slowness, random.uniform(0.1, 0.9) * budget, None))
    return (first, Device(slowness, *lost()))


def _ending(random: Random, images: int, budget: float) -> Ending:
    return Ending(
        kill=random.uniform(0.05, 2.0),
        delete=log_even(random, 0.05, 20),
        validate=min(log_even(random, 0.01, 0.5) * images, budget / 20),
        write=log_even(random, 0.02, 5),
    )


def _faults(random: Random, members: int, passes: int, images: int) -> Faults:
    stages: NDArray[np.str_] | None = None
    if chance(random, 0.35):
        rate = log_even(random, 0.001, 0.02)
        which = random.choice(sorted(MAY_PASS), (TRIES, passes, images))
        stages = np.where(random.random(which.shape) < rate, which, "")

    def one(probability: float, of: int) -> frozenset[int]:
        return frozenset([int(random.integers(of))]) if chance(random, probability) else frozenset()

    return Faults(
        stages=stages,
        damaged=one(0.05, images),
        unloadable=one(0.03, members),
        wrong=one(0.02, members),
        greedy=one(0.02, members),
    )
