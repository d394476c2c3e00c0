"""Ensembles for simulated runs: their passes cost one second per megapixel."""

from collections.abc import Sequence

from kit.ensemble import Ensemble, Kind, Member, Pass, Rung
from submission.runtime.plan.changes import StartRung
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import FuseTask, PassTask


def ensemble_of(owners: list[int], rungs: list[int]) -> Ensemble:
    """Return an ensemble.

    Args:
        owners: member of each pass, from 0.
        rungs: how many passes each rung has.
    """
    return of_subsets(owners, [list(range(n)) for n in rungs])


def of_subsets(
    owners: Sequence[int],
    rungs: Sequence[Sequence[int]],
    cvs: Sequence[float | None] | None = None,
    *,
    kind: Kind = "semantic",
) -> Ensemble:
    """Return an ensemble whose rungs are any sets of passes; a pass has the same weight in all of them.

    Args:
        owners: member of each pass, from 0.
        rungs: the passes of each rung; the last has all.
        cvs: of the rungs; 0.1 for all of them where not given.
        kind: of the predictions.
    """
    return Ensemble(
        competition="kidney",
        kind=kind,
        members=[
            Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
            for i in range(max(owners) + 1)
        ],
        passes=[
            Pass(member=owner, view=f"v{n}", seconds_per_megapixel=1.0) for n, owner in enumerate(owners)
        ],
        rungs=[
            Rung(
                passes=list(passes),
                weights=[float(index + 1) for index in passes],
                settings={"n": len(passes)},
                cv=cv,
            )
            for passes, cv in zip(rungs, [0.1] * len(rungs) if cvs is None else cvs, strict=True)
        ],
        slowdown=1.5,
    )


def finish_rung(state: LadderState, rung: int, seconds: float = 1.0) -> None:
    """Start a rung and do all that it needs; a megapixel takes so many seconds, a row none."""
    state.ready |= set(range(len(state.ensemble.members)))
    if rung not in state.rungs.started:
        state.apply(StartRung(rung))
    for index in state.live_passes(rung):
        for image in list(state.images_to_do(index)):
            task = PassTask(index, image)
            state.apply(task)
            state.finished_pass(task, f"{index}/{image}", seconds * state.megapixels[image])
    for task in list(state.combinable):
        if isinstance(task, FuseTask):
            state.apply(task)
            state.finished_row(task, f"row {task.rung}/{task.image}")
