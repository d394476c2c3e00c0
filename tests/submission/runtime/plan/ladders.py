"""Ensembles for simulated runs: their passes cost one second per megapixel."""

from kit.ensemble import Ensemble, Member, Pass, Rung


def ensemble_of(owners: list[int], rungs: list[int]) -> Ensemble:
    """Return an ensemble.

    Args:
        owners: member of each pass, from 0.
        rungs: how many passes each rung has.
    """
    return Ensemble(
        competition="kidney",
        kind="semantic",
        members=[
            Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
            for i in range(max(owners) + 1)
        ],
        passes=[
            Pass(member=owner, view=f"v{n}", seconds_per_megapixel=1.0) for n, owner in enumerate(owners)
        ],
        rungs=[
            Rung(passes=list(range(n)), weights=[float(i + 1) for i in range(n)], settings={"n": n}, cv=0.1)
            for n in rungs
        ],
        slowdown=1.5,
    )
