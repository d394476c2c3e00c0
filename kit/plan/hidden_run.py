"""What would happen in the hidden run, by the planner on a virtual clock, as fast as was measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.ensemble import Ensemble, Rung
from kit.plan.costs import loading_seconds, reserve_seconds
from kit.plan.disk_space import MEAN_BYTES, DiskSpace
from kit.plan.ladder import chosen_policy
from kit.plan.measured import Line, Measured
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, MeanTask, PassTask, Task, ValidateTask
from kit.plan.virtual_run import VirtualRun, VirtualWorker, Work

SLOWER = 1.6
"""The hidden run may be slower by this: one notebook took 5.5 hours and, near a deadline, more than 9."""
_MOST_TASKS = 2000
"""Passes x images of a virtual run, so that it takes seconds: beyond that, images are put together."""
_FEWEST = 16
"""Images of a virtual run for each worker, at least."""
_FULL = 0.9
"""Part of the memory that may be in use."""
_STEPS = 6
"""Halvings of the range in which a slower machine just reaches the same rung."""


@dataclass(frozen=True, kw_only=True)
class HiddenSet:
    """The hidden test set, as far as anybody knows.

    Attributes:
        images: their number.
        megapixels: of all together.
    """

    images: int
    megapixels: float


def hidden_set(images: int | None, megapixels: float | None, sizes: Sequence[float]) -> HiddenSet | None:
    """Return the hidden test set; None where nobody knows how large it is.

    Args:
        images: their number, if it is known.
        megapixels: of all together, if they are known.
        sizes: megapixels of known images, whose mean tells what is not known.
    """
    mean = sum(sizes) / len(sizes) if sizes else 0.0
    if images is None and (megapixels is None or not mean):
        return None
    count = images if images is not None else max(1, round((megapixels or 0.0) / mean))
    total = megapixels if megapixels is not None else count * mean
    return HiddenSet(images=count, megapixels=total) if total else None


@dataclass(frozen=True)
class Course:
    """How a virtual run goes.

    Attributes:
        seconds: of the whole run.
        done: rung -> second at which it is done.
        part: images of 100 that have a row of a rung beyond the last one that is done.
        disk: bytes that the results take at most.
    """

    seconds: float
    done: Mapping[int, float]
    part: float
    disk: float

    @property
    def rung(self) -> int | None:
        """The highest rung that is done."""
        return max(self.done, default=None)


class _HiddenRun(VirtualRun):
    """A run on the machine that was measured.

    Args:
        ensemble: of the script.
        measured: its times.
        hidden: the images.
        deadline: second at which no more tasks end.
        free: bytes on the scratch disk.
        slower: factor on all times.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        measured: Measured,
        hidden: HiddenSet,
        *,
        deadline: float,
        free: float,
        slower: float,
    ) -> None:
        self.measured, self.slower = measured, slower
        count, images = images_together(hidden, measured, len(ensemble.passes))
        self.together = count
        super().__init__(
            LadderState(ensemble, images),
            chosen_policy(ensemble),
            workers=measured.workers,
            deadline=deadline,
            free=free,
        )
        self.done: dict[int, float] = {}
        self._rows = Counter[int]()
        self._space = DiskSpace(ensemble, images)
        for member, second in enumerate(measured.ready):
            if second is None:
                self.ladder.drop_member(member, "it was lost in this run")
        ready = (measured.installed if second is None else second for second in measured.ready)
        self.set_up(measured.installed * slower, (second * slower for second in ready))

    def get_ready(self, member: int) -> None:
        """Let the weights of a member be there, unless it was lost."""
        if self.measured.ready[member] is not None:
            super().get_ready(member)

    def compose(self) -> None:
        """Note the rungs that got complete, and let their files be checked."""
        for rung in sorted(self.state.rungs.started - self.done.keys()):
            if rung > max(self.done, default=-1) and self.state.settled(rung):
                self.done[rung] = self.now
                self.validations.append(ValidateTask(rung, f"rung{rung}.csv"))

    def work(self, worker: VirtualWorker, task: Task) -> Work:
        """Return what a task takes on the measured machine."""
        measured, slower, load = self.measured, self.slower, 0.0
        if isinstance(task, ValidateTask):
            return Work(measured.validate * slower)
        size = self.state.megapixels[task.image]
        if isinstance(task, PassTask):
            size = self.state.work(task.index, task.image)
            member, line = self.state.ensemble.passes[task.index].member, measured.passes[task.index]
            if worker.loaded != member:
                load = measured.loads[member] + (measured.imports if worker.loaded is None else 0.0)
                worker.loaded = member
        else:
            # A mean is made of two maps, a row of as many as its rung has passes.
            passes = len(self.state.live_passes(task.rung)) if isinstance(task, FuseTask) else 2
            line = (measured.rows[0], measured.rows[1] * passes)
        return Work((self._of(line, size) + measured.between * self.together) * slower, load * slower)

    def _of(self, line: Line, megapixels: float) -> float:
        return line[0] * self.together + line[1] * megapixels

    def seen(self, task: FuseTask) -> tuple[float | None, Sequence[float]]:
        """Let images stop, and skip windows, as often as the held-out ones did."""
        rung = self.state.ensemble.rungs[task.rung]
        left = () if rung.skip is None else [1 - rung.skip.share] * len(self.state.ensemble.members)
        if rung.stop is None:
            return None, left
        # A share of 0.4: after rows 1 to 5 there are 0, 0, 1, 1, 2 images that stopped, so 3 and 5 stop.
        before, self._rows[task.rung] = self._rows[task.rung], self._rows[task.rung] + 1
        stops = int((before + 1) * rung.stop.share) > int(before * rung.stop.share)
        return 0.0 if stops else 1.0, left

    def file_bytes(self, task: PassTask | MeanTask) -> float:
        """Return the bytes that a map or a running mean takes on the disk."""
        if isinstance(task, PassTask):
            return self._space.map_bytes(task.index, task.image)
        return MEAN_BYTES * self.state.megapixels[task.image] * 1e6

    def course(self) -> Course:
        """Return how the run goes."""
        self.play()
        best = max(self.done, default=-1)
        beyond = {image for rung, image in self.state.rungs.rows if rung > best}
        part = 100 * len(beyond) / len(self.state.megapixels) if self.state.ensemble.rows_may_mix else 0.0
        return Course(self.now + self.measured.ending * self.slower, self.done, part, self.most_bytes)


def images_together(hidden: HiddenSet, measured: Measured, passes: int) -> tuple[float, dict[str, float]]:
    """Return how many hidden images stand together as one, and the megapixels of each of these.

    Args:
        hidden: the images.
        measured: knows how sizes differ.
        passes: of the ensemble.
    """
    # 5000 images under 64 passes would be 320,000 tasks. They stand together by 156 as 32 images, so that
    # there are 2048 tasks, and the end of the run is known to a 32nd part of a pass.
    number = min(hidden.images, max(_MOST_TASKS // passes, _FEWEST * measured.workers))
    return hidden.images / number, images_of(hidden, measured.sizes, number)


def images_of(hidden: HiddenSet, sizes: Sequence[float], number: int) -> dict[str, float]:
    """Return the megapixels of so many images that have those of the hidden test set together.

    Args:
        hidden: the images.
        sizes: megapixels of known images; they tell how sizes differ.
        number: of the returned images.
    """
    # Images of 1 and 3 megapixels were seen, and 4 images have 20: they have 2.5, 7.5, 2.5 and 7.5.
    known = sizes or (1.0,)
    shares = [known[image % len(known)] for image in range(number)]
    scale = hidden.megapixels / sum(shares)
    return {f"image{image}": share * scale for image, share in enumerate(shares)}


@dataclass(frozen=True)
class Prospect:
    """What the hidden run promises.

    Attributes:
        hidden: its images.
        course: if the hidden machine is as fast as this one.
        same: how many times slower the machine may be and still reach the same rung; None without a rung.
        first: the same for the first rung.
    """

    hidden: HiddenSet
    course: Course
    same: float | None
    first: float | None


def prospect(
    ensemble: Ensemble, measured: Measured, hidden: HiddenSet, *, budget: float, free: float
) -> Prospect:
    """Return what the hidden run promises.

    Args:
        ensemble: of the script.
        measured: times of this machine.
        hidden: the images.
        budget: seconds from start to end.
        free: bytes on the scratch disk.
    """
    deadline = budget - reserve_seconds(budget, ensemble.reserve_seconds)

    def at(slower: float) -> Course:
        run = _HiddenRun(ensemble, measured, hidden, deadline=deadline, free=free, slower=slower)
        return run.course()

    course = at(1.0)
    if course.rung is None:
        return Prospect(hidden, course, None, None)
    # All that comes before the end of the first rung takes its time in any case, so all of it is slower.
    first = deadline / course.done[min(course.done)]
    # A machine of which this rung takes the whole time may not try it: the truth lies in between.
    low, high = 1.0, deadline / course.done[course.rung]
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        reached = at(middle).rung
        low, high = (middle, high) if reached is not None and reached >= course.rung else (low, middle)
    return Prospect(hidden, course, low, max(first, low))


def _way_to(ensemble: Ensemble, rung: int) -> Iterator[tuple[Rung, list[int]]]:
    """Yield the rungs of the main path before a rung, then itself, each with the passes that it adds."""
    done: set[int] = set()
    for number in [*(other for other in ensemble.main_path if other < rung), rung]:
        passes = ensemble.rungs[number].passes
        yield ensemble.rungs[number], [index for index in passes if index not in done]
        done.update(passes)


def image_seconds(ensemble: Ensemble, measured: Measured, rung: int) -> float:
    """Return the mean seconds of an image of the mean size for a rung, on all workers together."""
    # A row is made of each rung on the way; of 10 images of which 4 stop at the first, 6 get the second.
    size = sum(measured.sizes) / len(measured.sizes) if measured.sizes else 0.0
    seconds, going = 0.0, 1.0
    for on_the_way, new in _way_to(ensemble, rung):
        row = (measured.rows[0], measured.rows[1] * len(on_the_way.passes))
        lines = [*(measured.passes[index] for index in new), row]
        seconds += going * sum(fixed + rate * size + measured.between for fixed, rate in lines)
        going *= 1.0 if on_the_way.stop is None else 1.0 - on_the_way.stop.share
    return seconds / measured.workers


def images_that_fit(ensemble: Ensemble, measured: Measured, rung: int, *, budget: float) -> int:
    """Return how many images of the mean size a rung could be done over."""
    begin = measured.installed + measured.imports
    for _, new in _way_to(ensemble, rung):
        members = {ensemble.passes[index].member for index in new}
        begin += loading_seconds([measured.loads[member] for member in members], measured.workers)
        begin += measured.validate  # the file of each rung
    left = budget - reserve_seconds(budget, ensemble.reserve_seconds) - begin
    each = image_seconds(ensemble, measured, rung)
    return max(0, int(left / each)) if each > 0 else 0


def objections(told: Prospect | None, facts: Mapping[str, Any]) -> list[str]:
    """Return why a submission is not safe; nothing where it is.

    Args:
        told: what the hidden run promises; None where its size is not known.
        facts: of the dry run: "members_measured", "memory_peak", "memory_total", "memory_ran_out".
    """
    found = []
    if not facts["members_measured"]:
        found.append("no pass could be measured")
    if facts["memory_ran_out"]:
        found.append("memory ran out in the dry run")
    total = facts["memory_total"]
    if total and facts["memory_peak"] > _FULL * total:
        found.append(f"{facts['memory_peak'] / 1e9:.1f} of {total / 1e9:.1f} GB of memory were in use")
    if told is not None and told.first is None:
        found.append("not even the first rung would be done in time")
    elif told is not None and told.first is not None and told.first < SLOWER:
        # Cut, not rounded: 1.599 is less than 1.6.
        room = math.floor(told.first * 100) / 100
        found.append(
            f"the first rung needs room for a machine {SLOWER} times slower, has room for {room:.2f}"
        )
    return found
