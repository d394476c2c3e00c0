"""Which task a free worker gets next, and what a failure costs: the image, the member, or one more try.

Pure bookkeeping: no processes, no files, no clock.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kit.ensemble import Ensemble
from submission.runtime.budget import Costs

Stage = Literal["image", "load", "forward", "error", "crash", "memory", "stall", "fuse"]
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
class FuseTask:
    """One image's row of one rung."""

    rung: int
    image: str


Task = PassTask | FuseTask


class Schedule:
    """The ladder's state. Passes are worked on in their order; a rung is admitted as a whole or not at all.

    Args:
        ensemble: members, passes and rungs.
        megapixels: of every image that can be read.
        costs: of the passes.
        workers: how many work in parallel.
        fits: told a rung's predicted seconds, says whether it may start; the first rung is not asked for.

    Attributes:
        admitted: how many rungs have been started or finished.
        refused: predicted seconds of the rung that did not fit, by its index.
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
    ) -> None:
        self.ensemble, self.megapixels, self.costs, self.workers, self.fits = (
            ensemble,
            dict(megapixels),
            costs,
            workers,
            fits,
        )
        self.admitted = 0
        self.refused: dict[int, float] = {}
        self.rows: dict[tuple[int, str], str] = {}
        self.lost_images: dict[str, str] = {}
        self.lost_members: dict[int, str] = {}
        self._ready: set[int] = set()
        self._files: dict[tuple[int, str], str] = {}
        self._set_aside: set[tuple[int, str]] = set()
        self._unfused: set[tuple[int, str]] = set()
        self._pending: deque[PassTask] = deque()
        self._fusable: deque[FuseTask] = deque()
        self._running: set[Task] = set()
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
        """Results of a rung's live passes over an image, in their order."""
        return [self._files[index, image] for index in self.live_passes(rung)]

    def finished_images(self, index: int) -> int:
        """How many images a pass has been over."""
        return sum((index, image) in self._files for image in self.live_images())

    def reduced(self, rung: int) -> Ensemble:
        """The ensemble a rung is fused with: its live passes alone, as the only rung."""
        live, full = self.live_passes(rung), self.ensemble.rungs[rung]
        only = replace(full, passes=len(live), weights=[full.weights[index] for index in live])
        return replace(self.ensemble, passes=[self.ensemble.passes[index] for index in live], rungs=[only])

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
        return not (self._running or self._pending or self._fusable) and not self._can_admit()

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
        self._files[task.index, task.image] = file
        self._successes[self.ensemble.passes[task.index].member] += 1
        self.costs.observe(task.index, self.megapixels[task.image], seconds)
        self._find_fusable([task.image])

    def finished_row(self, task: FuseTask, file: str) -> None:
        """A row of a rung was written to a file."""
        self._running.discard(task)
        self.rows[task.rung, task.image] = file

    def failed(self, task: Task, stage: Stage, reason: str) -> str:
        """A task failed.

        Returns:
            What follows from it, for people.
        """
        self._running.discard(task)
        if isinstance(task, FuseTask):
            self._unfused.add((task.rung, task.image))
            return f"image {task.image} keeps its row of an earlier rung"
        if stage == "image":
            self.lost_images[task.image] = reason
            self._pending = deque(item for item in self._pending if item.image != task.image)
            return f"image {task.image} gets the fallback row"
        if stage in RETRIED and task.attempt + 1 < TRIES:
            self._pending.appendleft(replace(task, attempt=task.attempt + 1))
            return f"image {task.image} is tried again with a batch of one"
        member = self.ensemble.passes[task.index].member
        self._set_aside.add((task.index, task.image))
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
        self._find_fusable(self.live_images())
        return f"member {self.ensemble.members[member].name} is dropped"

    # How it is decided

    def _take(self) -> Task | None:
        while self._fusable:
            fuse = self._fusable.popleft()
            if fuse.image not in self.lost_images:
                return fuse
        for position, task in enumerate(self._pending):
            if self.ensemble.passes[task.index].member in self._ready:
                del self._pending[position]
                return task
        return None

    def _can_admit(self) -> bool:
        return self.admitted < len(self.ensemble.rungs) and not self.refused

    def _admit(self) -> bool:
        """Admit the next rung if it may start."""
        rung, images = self.admitted, self.live_images()
        before = self.live_passes(rung - 1) if rung > 0 else []
        new = [index for index in self.live_passes(rung) if index not in before]
        seconds = self.costs.seconds(new, {image: self.megapixels[image] for image in images}, self.workers)
        if rung > 0 and not self.fits(seconds):
            self.refused[rung] = seconds
            return False
        self.admitted += 1
        self._pending += [PassTask(index, image) for index in new for image in images]
        self._find_fusable(images)
        return True

    def _adds(self, rung: int) -> bool:
        """Whether a rung has more live passes than the one before; dropped members make some pointless."""
        return len(self.live_passes(rung)) > (len(self.live_passes(rung - 1)) if rung > 0 else 0)

    def _blocked(self, rung: int, image: str) -> bool:
        return (rung, image) in self._unfused or any(
            (index, image) in self._set_aside for index in self.live_passes(rung)
        )

    def _find_fusable(self, images: list[str]) -> None:
        """Queue the rows whose passes are complete and which were not queued before."""
        queued = {*self._fusable, *(task for task in self._running if isinstance(task, FuseTask))}
        for rung in range(self.admitted):
            live = self.live_passes(rung) if self._adds(rung) else []
            for image in images:
                task = FuseTask(rung, image)
                done = (rung, image) in self.rows or (rung, image) in self._unfused or task in queued
                if live and not done and all((index, image) in self._files for index in live):
                    self._fusable.append(task)
