"""Draws ensembles like the published ones: members of some families, what they cost, what they are worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.budget import ladders
from benchmarks.budget.draws import Random, chance, log_even
from benchmarks.budget.truth import Errors, Floats, Truth, views_of
from kit.ensemble import Ensemble, Member, Pass, Rung

_VIEWS = ("identity", "hflip", "vflip", "rot90")
_MOST_PASSES = 40
_LARGEST = (16, 4)
"""Members and views of the largest published ensemble, which few worlds have."""
RESERVE = 60.0
"""Seconds that the ensemble declares for the end."""


@dataclass(frozen=True)
class Drawn:
    """Members and passes before anything is known of the machine.

    Attributes:
        owners: member of each pass, in the order of the ladder.
        rates: what a megapixel costs with each member, in a unit of the world's own.
        priors: the same as the ensemble believes it, in seconds.
        truth: what passes are worth on the hidden images.
        rungs: passes of each.
        cvs: scores of the rungs on other images.
    """

    owners: tuple[int, ...]
    rates: Floats
    priors: Floats
    truth: Truth
    rungs: tuple[tuple[int, ...], ...]
    cvs: tuple[float, ...]


def size(random: Random) -> tuple[int, int]:
    """Draw the numbers of members and of views."""
    if chance(random, 0.02):
        return _LARGEST
    members = int(log_even(random, 3, 17))
    return members, min(int(random.integers(1, 5)), _MOST_PASSES // members)


def draw(random: Random, members: int, views: int, images: int, *, mixes: bool, nested: bool) -> Drawn:
    """Draw an ensemble for a number of images.

    Args:
        random: source of the draws.
        members: number of members.
        views: each member predicts under so many.
        images: of the hidden test set.
        mixes: rows of different rungs may stand in one file.
        nested: each rung contains the one before; else there are further rungs of any passes.
    """
    rate_M, nominal = _members(random, members)
    # The ensemble was priced on another machine, and each member with an error of its own.
    prior_M = rate_M / log_even(random, 0.3, 3) * np.exp(0.25 * random.standard_normal(members))
    owners = tuple(member for _ in range(views) for member in range(members))
    # The best single pass has this loss, the whole ladder takes off this part of it: Dice 0.92 becomes 0.94,
    # AP 0.45 becomes 0.53.
    loss = log_even(random, 0.06, 0.3) if mixes else random.uniform(0.4, 0.75)
    gain = log_even(random, 0.05, 0.4) if mixes else log_even(random, 0.03, 0.3)

    def variance(passes: frozenset[int]) -> float:
        return nominal.variance(views_of(owners, passes))

    first = min(variance(frozenset([index])) for index in range(len(owners)))
    slope = gain / (first - variance(frozenset(range(len(owners)))))

    def score(passes: frozenset[int]) -> float:
        return 1.0 - loss * (1.0 - slope * (first - variance(passes)))

    costs = [float(prior_M[owner]) for owner in owners]
    order = ladders.greedy_order(costs, score)
    costs = [costs[index] for index in order]
    chance_P = random.standard_normal(len(order))

    def held_out(passes: frozenset[int]) -> float:
        # Other images give other scores; those of two rungs with many passes in common differ less.
        luck = sum(float(chance_P[index]) for index in sorted(passes)) / len(passes) ** 0.5
        return float(score(frozenset(order[index] for index in passes)) + 0.05 * gain * loss * luck)

    rungs = ladders.prefixes(len(order), held_out)
    if not nested:
        rungs = ladders.with_subsets(rungs, costs, held_out)
    return Drawn(
        owners=tuple(owners[index] for index in order),
        rates=rate_M,
        priors=prior_M,
        truth=Truth(
            owners=tuple(owners[index] for index in order),
            errors=_on_images(random, nominal, images),
            mixes=mixes,
            first=first,
            slope=slope,
            loss=loss,
            difficulty=_difficulty(random, images),
            penalty=random.uniform(0.02, 0.1),
            gains=np.ones(images),
        ),
        rungs=tuple(tuple(sorted(rung)) for rung in rungs),
        # A last rung that gains nothing repeats the score of the rung before.
        cvs=tuple(np.maximum.accumulate([held_out(rung) for rung in rungs]).tolist()),
    )


def _members(random: Random, members: int) -> tuple[Floats, Errors]:
    """Draw costs and errors; members of one family (one recipe, several folds) are much alike."""
    families = int(random.integers(1, min(6, members) + 1))
    of = np.sort(np.concatenate([np.arange(families), random.integers(0, families, members - families)]))
    spread = log_even(random, 1.2, 12)
    rate_F = spread ** random.random(families)
    worth = random.uniform(0.0, 0.6)  # dear families are better, by much or by nothing
    own_F = rate_F**-worth * np.exp(0.35 * random.standard_normal(families))
    return (
        (rate_F[of] * np.exp(0.05 * random.standard_normal(members))),
        Errors(
            common=log_even(random, 0.3, 3),
            family=tuple((log_even(random, 0.1, 1) * own_F).tolist()),
            families=tuple(of.tolist()),
            members=(own_F[of] * log_even(random, 0.2, 1) * np.exp(0.1 * random.standard_normal(members)))[
                :, None
            ],
            views=own_F[of] * log_even(random, 0.03, 0.4),
        ),
    )


def _on_images(random: Random, nominal: Errors, images: int) -> Errors:
    """Let each member be better on some images and worse on others."""
    members = len(nominal.families)
    factor_MI = np.exp(0.4 * random.standard_normal((members, images)) - 0.08)
    return replace(nominal, members=nominal.members * factor_MI)


def _difficulty(random: Random, images: int) -> Floats:
    drawn_I = np.exp(0.6 * random.standard_normal(images))
    return np.asarray(drawn_I / drawn_I.mean())


def written(drawn: Drawn, prior_M: Floats) -> Ensemble:
    """Return `ensemble.json`'s content.

    Args:
        drawn: members, passes and rungs.
        prior_M: seconds per megapixel of each member.
    """
    names = [f"member{member}" for member in range(len(prior_M))]
    seen: dict[int, int] = {}
    passes = []
    for owner in drawn.owners:
        view = seen[owner] = seen.get(owner, -1) + 1
        passes.append(Pass(member=owner, view=_VIEWS[view], seconds_per_megapixel=float(prior_M[owner])))
    return Ensemble(
        competition="kidney" if drawn.truth.mixes else "vasculature",
        kind="semantic" if drawn.truth.mixes else "instance",
        members=[
            Member(
                name=name,
                weights=f"{name}.safetensors",
                sha256=f"{number:064x}",
                size=100_000_000,
                network={},
                inference={},
                requires=[],
            )
            for number, name in enumerate(names)
        ],
        passes=passes,
        rungs=[
            Rung(passes=list(rung), weights=[1.0] * len(rung), settings={}, cv=cv)
            for rung, cv in zip(drawn.rungs, drawn.cvs, strict=True)
        ],
        reserve_seconds=RESERVE,
    )
