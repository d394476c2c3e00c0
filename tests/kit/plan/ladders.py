"""Ensembles for simulated runs: their passes cost one second per megapixel."""

from collections.abc import Mapping, Sequence

from kit.ensemble import EarlyStop, Ensemble, Kind, Member, Pass, Rung, WindowSkip
from kit.plan.changes import StartRung
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask


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
    stops: Mapping[int, float] | None = None,
    skips: Mapping[int, float] | None = None,
) -> Ensemble:
    """Return an ensemble whose rungs are any sets of passes; a pass has the same weight in all of them.

    Args:
        owners: member of each pass, from 0.
        rungs: the passes of each rung; the last has all.
        cvs: of the rungs; 0.1 for all of them where not given.
        kind: of the predictions.
        stops: rung -> share of the images that stop at it, those with a doubt below 0.5.
        skips: rung -> share of the windows of later passes that are skipped after it.
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
                stop=EarlyStop(below=0.5, share=stops[number], cv=0.1) if stops and number in stops else None,
                skip=WindowSkip(below=0.5, share=skips[number], cv=0.1)
                if skips and number in skips
                else None,
            )
            for number, (passes, cv) in enumerate(
                zip(rungs, [0.1] * len(rungs) if cvs is None else cvs, strict=True)
            )
        ],
        slowdown=1.5,
    )


def finish_rung(
    state: LadderState, rung: int, seconds: float = 1.0, doubts: Mapping[str, float] | None = None
) -> None:
    """Start a rung and do all that it needs; a megapixel takes so many seconds, a row none.

    Args:
        state: of the ladder.
        rung: to finish.
        seconds: of a megapixel.
        doubts: of the images' rows; those of other images have no doubt that is known.
    """
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
            state.finished_row(task, f"row {task.rung}/{task.image}", doubt=(doubts or {}).get(task.image))
