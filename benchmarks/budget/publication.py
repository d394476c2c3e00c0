"""Which file a simulated run leaves: the rules of `result.publishing`, without files."""

from __future__ import annotations

from collections import deque

from benchmarks.budget.events import Ended
from benchmarks.budget.world import World
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, ValidateTask

_GUARD = 0.4
"""Seconds before the end of the budget at which the process ends whatever it does (`work.run_to_end`)."""
Rows = dict[int, tuple[int, ...]]


class Publication:
    """Replaces the submission rung by rung.

    Args:
        world: has the times.
        state: of the ladder; has the rows.
        mixes: at the end the rows of an unfinished rung are published, too.

    Attributes:
        validations: tasks for workers.
        changed: a rung may have got complete.
    """

    def __init__(self, world: World, state: LadderState, *, mixes: bool) -> None:
        self.world, self.state, self.mixes = world, state, mixes
        self.validations: deque[ValidateTask] = deque()
        self.changed = False
        self._published = self._composed = -1
        self._rows: Rows = {}
        self._waiting: dict[int, Rows] = {}
        self._passes: dict[tuple[int, str], tuple[int, ...]] = {}
        self._numbers = {image: number for number, image in enumerate(world.images)}

    def note_row(self, task: FuseTask) -> None:
        """Note which passes a row is fused from."""
        self._passes[task.rung, task.image] = tuple(self.state.live_passes(task.rung))

    def compose(self) -> None:
        """Queue the validation of every rung that got complete."""
        if not self.changed:
            return
        self.changed = False
        for rung in sorted(self.state.rungs.started):
            if rung > self._composed and self._complete(rung):
                self._composed = rung
                self._waiting[rung] = self._rows_of(rung)
                self.validations.append(ValidateTask(rung, f"rung{rung}.csv"))

    def publish_validated(self, task: ValidateTask) -> None:
        """Publish a file that a worker found valid."""
        if task.rung > self._published:
            self._published, self._rows = task.rung, self._waiting[task.rung]

    def finish(self, now: float) -> Ended:
        """Return how a run ends whose last task ended at a moment."""
        # Budget 3600 s, the loop ends at 3540 s: 1 s to end the workers, 5 s to delete results, 27 s (half of
        # the rest) for a validation that would take 40 s, 2 s to write. The process ends at 3575 s.
        budget, ending = self.world.budget, self.world.machine.ending
        now += ending.kill
        rows, file = self._last_rows()
        if rows == self._rows:
            return self._ended(now, rows, file)
        now += min(ending.delete, max(0.0, budget - now) / 4)
        now += min(ending.validate, max(0.0, budget - now) / 2)
        now += ending.write
        if now > budget - _GUARD:
            return self._ended(budget, self._rows, f"rung {self._published + 1}, then a late file", late=True)
        return self._ended(now, rows, file)

    def _ended(self, seconds: float, rows: Rows, file: str, *, late: bool = False) -> Ended:
        stopped = {self._numbers[image] for image in self.state.rungs.stopped}
        return Ended(self.world.truth.of_file(rows, stopped), seconds, late, rows, file)

    def _last_rows(self) -> tuple[Rows, str]:
        """Return the rows of the best complete rung, with those of a later one where they may be mixed.

        If no rung is complete, return what there is: of all rungs, or of the first one that has a row.
        """
        rungs, images = len(self.world.ensemble.rungs), len(self.world.images)
        started = sorted(self.state.rungs.started)
        complete = max((rung for rung in started if self._complete(rung)), default=-1)
        best = max(complete, self._published)
        if best < 0:
            there = sorted({rung for rung, _ in self._passes})
            if not there:
                return {}, "nothing"
            chosen = there[-1] if self.mixes else there[0]
            rows = self._rows_of(chosen)
            return rows, f"rung {chosen + 1} of {rungs}, {len(rows)} of {images} rows"
        top = max((rung for rung, _ in self._passes if rung > best), default=best) if self.mixes else best
        count = sum(rung == top for rung, _ in self._passes)
        part = "" if top == best else f", {count} of {images} rows"
        return self._rows_of(top), f"rung {top + 1} of {rungs}{part}"

    def _complete(self, rung: int) -> bool:
        return self.state.settled(rung) and bool(self._rows_of(rung))

    def _rows_of(self, rung: int) -> Rows:
        found: Rows = {}
        for image, number in self._numbers.items():
            if (best := self.state.rungs.best_row(rung, image)) is not None:
                found[number] = self._passes[best[0], image]
        return found
