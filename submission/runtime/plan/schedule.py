"""Which task a free worker gets next, and what a failure costs: the image, the member, or one more try.

Pure bookkeeping: no processes, no files, no clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kit.ensemble import Ensemble
from submission.runtime.plan.costs import Costs
from submission.runtime.plan.disk_space import Space
from submission.runtime.plan.results import Shelf

Stage = Literal["image", "load", "forward", "error", "crash", "memory", "stall", "disk"]
TRIES = 2
RETRIED: frozenset[Stage] = frozenset({"error", "crash", "memory", "stall"})
"""What may go better the next time; an unreadable image or weights of another network do not."""
_STRIKES = 2
"""Images on which a member may fail before its first success; then it is to blame and not they."""


@dataclass(frozen=True)
class PassTask:
    """One pass over one image; `attempt` counts the tries before this one."""

    index: int
    image: str
    attempt: int = 0


@dataclass(frozen=True)
class FoldTask:
    """One pass's map into the running mean of its image."""

    index: int
    image: str


@dataclass(frozen=True)
class FuseTask:
    """One image's row of one rung."""

    rung: int
    image: str


Task = PassTask | FoldTask | FuseTask


class Schedule:
    """The ladder's state. Passes are worked on in their order; a rung is admitted as a whole or not at all.

    Args:
        ensemble: members, passes and rungs.
        megapixels: of every image that can be read.
        costs: of the passes.
        workers: how many work in parallel.
        fits: told a rung's predicted seconds, says whether it may start; the first rung is not asked for.
        space: of the scratch disk; None has no limit.

    Attributes:
        admitted: how many rungs have been started or finished.
        refused: predicted seconds of the rung that did not fit, by its index.
        crowded: why there is no room for the results of a rung, by its index.
        crowded_out: passes over images that were not begun for want of room, and why; whoever tells of them
            empties the list.
        shelf: the results of passes.
        rows: (rung, image) -> file with the row.
        lost_images: image -> why it gets no further prediction.
        lost_members: index of a dropped member -> why.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        megapixels: Mapping[str, float],
        costs: Costs,
        *,
        workers: int,
        fits: Callable[[float], bool],
        space: Space | None = None,
    ) -> None:
        self.ensemble, self.megapixels, self.costs, self.workers, self.fits = (
            ensemble,
            dict(megapixels),
            costs,
            workers,
            fits,
        )
        self.space = space
        self.shelf = Shelf()
        self.admitted = 0
        self.refused: dict[int, float] = {}
        self.crowded: dict[int, str] = {}
        self.crowded_out: list[tuple[PassTask, str]] = []
        self.rows: dict[tuple[int, str], str] = {}
        self.lost_images: dict[str, str] = {}
        self.lost_members: dict[int, str] = {}
        self._ready: set[int] = set()
        self._set_aside: set[tuple[int, str]] = set()
        self._unfused: set[tuple[int, str]] = set()
        self._pending: deque[PassTask] = deque()
        self._soon: deque[FoldTask | FuseTask] = deque()
        self._running: set[Task] = set()
        self._failures: Counter[FoldTask | FuseTask] = Counter()
        self._successes: Counter[int] = Counter()
        self._strikes: defaultdict[int, set[str]] = defaultdict(set)

    # What is there

    def live_passes(self, rung: int) -> list[int]:
        """Passes of a rung whose member has not been dropped."""
        passes = self.ensemble.passes[: self.ensemble.rungs[rung].passes]
        return [index for index, item in enumerate(passes) if item.member not in self.lost_members]

    def live_images(self) -> list[str]:
        """Images still worked on, largest first: a long task at the end leaves the other workers idle."""
        live = [image for image in self.megapixels if image not in self.lost_images]
        return sorted(live, key=lambda image: (-self.megapixels[image], image))

    def files(self, rung: int, image: str) -> list[str]:
        """Results of a rung's live passes over an image, in their order, or the one file with their mean."""
        found = self.shelf.files(self.live_passes(rung), image)
        assert found is not None, (rung, image)
        return found

    def finished_images(self, index: int) -> int:
        """How many images a pass has been over."""
        return sum(self.shelf.was_done(index, image) for image in self.live_images())

    def reduced(self, rung: int) -> Ensemble:
        """The ensemble a rung is fused with: its live passes, or their mean, alone, as the only rung."""
        live, full = self.live_passes(rung), self.ensemble.rungs[rung]
        if self.shelf.folds:
            live = live[:1]
        only = replace(full, passes=len(live), weights=[full.weights[index] for index in live])
        return replace(self.ensemble, passes=[self.ensemble.passes[index] for index in live], rungs=[only])

    def fold_weights(self, task: FoldTask) -> list[float]:
        """Weights of an image's running mean and of the map that is folded into it."""
        weights = self.ensemble.rungs[-1].weights
        return [sum(weights[index] for index in self.shelf.mean_of(task.image)), weights[task.index]]

    def settled(self, rung: int) -> bool:
        """Whether every image has its row of an admitted rung or will never have one."""
        return (
            rung < self.admitted
            and self._adds(rung)
            and all((rung, image) in self.rows or self._blocked(rung, image) for image in self.live_images())
        )

    def best_row(self, rung: int, image: str) -> tuple[int, str] | None:
        """The highest rung up to this one that has a row for an image, and its file."""
        for lower in range(rung, -1, -1):
            if (lower, image) in self.rows:
                return lower, self.rows[lower, image]
        return None

    @property
    def waiting(self) -> bool:
        """Whether a member is neither ready nor dropped."""
        members = {item.member for item in self.ensemble.passes}
        return bool(members - self._ready - set(self.lost_members))

    @property
    def exhausted(self) -> bool:
        """Whether nothing runs and nothing is left to start."""
        return not (self._running or self._pending or self._soon) and not self._can_admit()

    # What happens

    def member_ready(self, member: int) -> None:
        """A member's weights and libraries are in place."""
        self._ready.add(member)

    def next(self) -> Task | None:
        """The most urgent task that can start now; whoever takes it reports how it ended."""
        while True:
            task = self._take()
            if task is not None:
                self._running.add(task)
                return task
            if self._pending or not self._can_admit() or not self._admit():
                return None

    def finished_pass(self, task: PassTask, file: str, seconds: float) -> None:
        """A pass over an image left its result in a file."""
        self._running.discard(task)
        self.shelf.put(task.index, task.image, file)
        member = self.ensemble.passes[task.index].member
        self._successes[member] += 1
        self.costs.observe(task.index, self.megapixels[task.image], seconds)
        # Its first success settles that earlier failures were the images' own. This image may be lost by now.
        first = self._successes[member] == 1
        self._go_on(list(dict.fromkeys([*(self.live_images() if first else ()), task.image])))

    def finished_fold(self, task: FoldTask, file: str) -> None:
        """A map was folded into its image's mean, which now is this file."""
        self._running.discard(task)
        self.shelf.folded(task.index, task.image, file)
        self._go_on([task.image])

    def finished_row(self, task: FuseTask, file: str) -> None:
        """A row of a rung was written to a file."""
        self._running.discard(task)
        self.rows[task.rung, task.image] = file
        self._go_on([task.image])

    def failed(self, task: Task, stage: Stage, reason: str) -> str:
        """A task failed.

        Returns:
            What follows from it, for people.
        """
        self._running.discard(task)
        if isinstance(task, FuseTask):
            follows = self._cost_of_row(task, stage)
        elif isinstance(task, FoldTask):
            follows = self._cost_of_fold(task, stage)
        else:
            follows = self._cost_of_pass(task, stage, reason)
        self._go_on([task.image])
        return follows

    def _may_try_again(self, task: FoldTask | FuseTask, stage: Stage) -> bool:
        self._failures[task] += 1
        return stage in RETRIED and self._failures[task] < TRIES

    def _cost_of_row(self, task: FuseTask, stage: Stage) -> str:
        if self._may_try_again(task, stage):
            return f"image {task.image} is tried again"
        self._unfused.add((task.rung, task.image))
        earlier = self.best_row(task.rung, task.image)
        return (
            f"image {task.image} keeps its row of {f'rung {earlier[0] + 1}' if earlier else 'the fallback'}"
        )

    def _cost_of_fold(self, task: FoldTask, stage: Stage) -> str:
        if self._may_try_again(task, stage):
            return f"image {task.image} is tried again"
        self._set_aside.add((task.index, task.image))  # for good: its member has worked
        return f"image {task.image} goes on without this pass"

    def _cost_of_pass(self, task: PassTask, stage: Stage, reason: str) -> str:
        if stage == "image":
            self.lost_images[task.image] = reason
            self._pending = deque(item for item in self._pending if item.image != task.image)
            return f"image {task.image} gets the fallback row"
        if stage in RETRIED and task.attempt + 1 < TRIES:
            self._pending.appendleft(replace(task, attempt=task.attempt + 1))
            return f"image {task.image} is tried again with a batch of one"
        self._set_aside.add((task.index, task.image))
        if stage == "disk":
            return f"image {task.image} goes on without this pass"
        member = self.ensemble.passes[task.index].member
        self._strikes[member].add(task.image)
        never_worked = self._successes[member] == 0
        hopeless = len(self._strikes[member]) >= min(_STRIKES, len(self.live_images()))
        if never_worked and (stage == "load" or hopeless):
            return self.drop_member(member, reason)
        return f"image {task.image} goes on without this pass"

    def drop_member(self, member: int, reason: str) -> str:
        """Go on without a member.

        Returns:
            What follows from it, for people.
        """
        self.lost_members[member] = reason
        passes = self.ensemble.passes
        self._pending = deque(item for item in self._pending if passes[item.index].member != member)
        self._go_on(self.live_images())
        return f"member {self.ensemble.members[member].name} is dropped"

    # How it is decided

    def _take(self) -> Task | None:
        if self._soon:
            return self._soon.popleft()
        while (task := self._first_ready()) is not None:
            reason = self._crowded(task)
            if reason is not None and self._running:
                return None  # what runs may make room
            self._pending.remove(task)
            if reason is None:
                return task
            self._set_aside.add((task.index, task.image))
            self.crowded_out.append((task, reason))
            self._go_on([task.image])
        return None

    def _first_ready(self) -> PassTask | None:
        passes = self.ensemble.passes
        return next((task for task in self._pending if passes[task.index].member in self._ready), None)

    def _crowded(self, task: PassTask) -> str | None:
        if self.space is None:
            return None
        running = [(other.index, other.image) for other in self._running if isinstance(other, PassTask)]
        return self.space.crowded(task.index, task.image, running)

    def _can_admit(self) -> bool:
        return self.admitted < len(self.ensemble.rungs) and not (self.refused or self.crowded)

    def _admit(self) -> bool:
        """Admit the next rung if it may start."""
        rung, images = self.admitted, self.live_images()
        if rung == 0:
            self._plan_space(images)
        before = self.live_passes(rung - 1) if rung > 0 else []
        new = [index for index in self.live_passes(rung) if index not in before]
        seconds = self.costs.seconds(new, {image: self.megapixels[image] for image in images}, self.workers)
        if rung > 0 and not self.fits(seconds):
            self.refused[rung] = seconds
        elif rung > 0 and (reason := self._missing(new, images)) is not None:
            self.crowded[rung] = reason
        else:
            self.admitted += 1
            self._pending += [
                PassTask(index, image)
                for index in new
                for image in images
                if not self._blocked_for_good(rung, image)
            ]
        self._go_on(images)
        return rung < self.admitted

    def _plan_space(self, images: list[str]) -> None:
        """Decide once whether maps are folded, and whether results of the first rung can wait for a second.

        Where they cannot, each map goes as soon as its row is written.
        """
        if self.space is None:
            return
        self.shelf.folds = self.space.folds(images)
        if len(self.ensemble.rungs) > 1 and self.live_passes(0):
            reason = self._missing(self.live_passes(1), images)
            self.crowded |= {1: reason} if reason is not None else {}

    def _missing(self, passes: Sequence[int], images: list[str]) -> str | None:
        if self.space is None:
            return None
        return self.space.missing(passes, images, folded=self.shelf.folds, workers=self.workers)

    def _adds(self, rung: int) -> bool:
        """Whether a rung has more live passes than the one before; dropped members make some pointless."""
        return len(self.live_passes(rung)) > (len(self.live_passes(rung - 1)) if rung > 0 else 0)

    def _blocked(self, rung: int, image: str) -> bool:
        return (rung, image) in self._unfused or any(
            (index, image) in self._set_aside for index in self.live_passes(rung)
        )

    def _blocked_for_good(self, rung: int, image: str) -> bool:
        """A pass that was set aside blocks its rungs no longer once its member is dropped."""
        passes = self.ensemble.passes
        return (rung, image) in self._unfused or any(
            (index, image) in self._set_aside and self._successes[passes[index].member] > 0
            for index in self.live_passes(rung)
        )

    def _go_on(self, images: list[str]) -> None:
        """Queue what images' results allow now, and let go of files that no rung needs any more."""
        chosen = set(images)
        self._soon = deque(task for task in self._soon if task.image not in chosen)
        for image in images:
            self._soon.extend(task for task in self._next_of(image) if task not in self._running)
            if not any(task.image == image and not isinstance(task, PassTask) for task in self._running):
                self.shelf.keep(self._needed(image), image)

    def _next_of(self, image: str) -> Iterator[FoldTask | FuseTask]:
        """Rows that can be fused, or the pass whose map comes next into the mean.

        With a mean, one rung after the other: the next one's passes would change what this one is fused from.
        """
        for rung in self._open_rungs(image):
            live = self.live_passes(rung)
            if self.shelf.files(live, image) is not None:
                yield FuseTask(rung, image)
            elif (index := self.shelf.next_fold(live, image)) is not None:
                yield FoldTask(index, image)
            if self.shelf.folds:
                return

    def _open_rungs(self, image: str) -> list[int]:
        """Admitted rungs that an image has no row of but may have one, lowest first."""
        return [
            rung
            for rung in range(self.admitted)
            if self._adds(rung)
            and (rung, image) not in self.rows
            and not self._blocked_for_good(rung, image)
            and image not in self.lost_images
        ]

    def _needed(self, image: str) -> set[int]:
        """Passes whose results an image still needs: for rungs it has no row of, begun or not."""
        if image in self.lost_images:
            return set()
        rungs = self._open_rungs(image)
        if self._can_admit():
            rungs += [
                rung
                for rung in range(self.admitted, len(self.ensemble.rungs))
                if not self._blocked_for_good(rung, image)
            ]
        return {index for rung in rungs for index in self.live_passes(rung)}
