"""What the supervisor takes to decide on a task, over the number of images: a run on a virtual clock."""

from __future__ import annotations

import time

from benchmarks.markdown import table
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.plan.ladder import chosen_policy
from kit.plan.state import LadderState
from kit.plan.tasks import PassTask, Task
from kit.plan.virtual_run import VirtualRun, VirtualWorker, Work

HEAD = ("images", "passes", "tasks in the budget", "rungs done", "ms of the supervisor for each task")
_IMAGES, _TINY_IMAGES = (50, 500, 5000), (20, 100)
_MEMBERS, _VIEWS, _RUNGS = 16, 4, (1, 4, 16, 64)
_SECONDS = 0.1
"""Of a pass over an image of a megapixel, and of a row."""
_BUDGET = 900.0


class _Run(VirtualRun):
    """A run on a machine where all passes take the same."""

    def __init__(self, ensemble: Ensemble, images: int) -> None:
        sizes = {f"image{number}": 0.5 + number % 7 / 7 for number in range(images)}
        super().__init__(
            LadderState(ensemble, sizes), chosen_policy(ensemble), workers=2, deadline=_BUDGET, free=1e15
        )
        self.tasks = 0
        self.set_up(1.0, [1.0] * len(ensemble.members))

    def compose(self) -> None:
        """Ask what the supervisor asks after each task: which rungs are complete."""
        for rung in self.state.rungs.started:
            self.state.settled(rung)

    def work(self, worker: VirtualWorker, task: Task) -> Work:
        """Return what a task takes; count it."""
        self.tasks += 1
        load = 0.0
        if isinstance(task, PassTask):
            member = self.state.ensemble.passes[task.index].member
            load, worker.loaded = 0.0 if worker.loaded == member else 1.0, member
        return Work(_SECONDS, load)


def measure(*, tiny: bool) -> str:
    """Return the table.

    Args:
        tiny: of few images.
    """
    rows, ensemble = [], _ensemble()
    for images in _TINY_IMAGES if tiny else _IMAGES:
        run = _Run(ensemble, images)
        began = time.perf_counter()
        run.play()
        each = 1000 * (time.perf_counter() - began) / run.tasks
        done = sum(run.state.settled(rung) for rung in run.state.rungs.started)
        rows.append([f"{images}", f"{len(ensemble.passes)}", f"{run.tasks}", f"{done}", f"{each:.2f}"])
    note = (
        f"Two workers on a virtual clock, {_BUDGET:.0f} s, {_SECONDS} s a task: all time is the planner's "
        "and the state's."
    )
    return f"{table(HEAD, rows)}\n\n{note}"


def _ensemble() -> Ensemble:
    members = [
        Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
        for i in range(_MEMBERS)
    ]
    passes = [
        Pass(member=member, view=f"view{view}", seconds_per_megapixel=_SECONDS)
        for view in range(_VIEWS)
        for member in range(_MEMBERS)
    ]
    rungs = [
        Rung(passes=list(range(count)), weights=[1.0] * count, settings={}, cv=0.5 + count / 1000)
        for count in _RUNGS
    ]
    return Ensemble(competition="kidney", kind="semantic", members=members, passes=passes, rungs=rungs)
