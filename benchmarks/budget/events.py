"""What happens in a simulated run: events in the order of time, workers, what they did, how it ended."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.budget.machine import Machine
from submission.runtime.plan.changes import Decision
from submission.runtime.plan.tasks import PassTask, Stage, Task

_FAILS_AFTER = 0.5
"""Part of its time after which a task fails."""


class Events:
    """What will happen, by time; what is at the same time, in the order in which it was added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, second: float, event: Callable[[], None]) -> None:
        """Let something happen at a moment."""
        heapq.heappush(self._heap, (second, next(self._count), event))

    @property
    def next(self) -> float:
        """The second at which something happens next; infinite if nothing will."""
        return self._heap[0][0] if self._heap else math.inf

    def happen(self, until: float) -> None:
        """Let everything happen up to a moment."""
        while self.next <= until:
            heapq.heappop(self._heap)[2]()


@dataclass
class Worker:
    """A simulated worker.

    Attributes:
        number: from 0.
        up: it lives.
        gone: it died and will not come back.
        loaded: member whose network it holds.
        task: that it does, None if it is idle.
        token: of the event that ends the task; other events of that task are void.
    """

    number: int
    up: bool = True
    gone: bool = False
    loaded: int | None = None
    task: Task | None = None
    token: int = -1


@dataclass(frozen=True)
class Work:
    """What a task takes.

    Attributes:
        seconds: without loading.
        load: seconds of loading the member.
        stage: at which it fails, None if it does not.
    """

    seconds: float
    load: float = 0.0
    stage: Stage | None = None


def pass_work(
    machine: Machine, member: int, task: PassTask, image: int, factor: float, *, loaded: bool
) -> Work:
    """Return what a pass over an image takes.

    Args:
        machine: of the world.
        member: of the pass.
        task: the pass.
        image: number of its image.
        factor: on the time of a worker without slowness and drift.
        loaded: the worker has the member already.
    """
    stage = machine.faults.of(member, task.index, image, task.attempt)
    load = 0.0 if loaded else float(machine.loads[member])
    seconds = machine.pass_seconds(task.index, image, task.attempt) * factor
    if stage == "stall":
        seconds = machine.silence
    elif stage == "load":
        seconds = 0.0
    elif stage is not None:
        seconds *= _FAILS_AFTER
    return Work(seconds, load, stage)


@dataclass(frozen=True)
class Span:
    """What a worker did: a task from one second to another, with the stage at which it failed."""

    worker: int
    task: Task
    begin: float
    end: float
    stage: Stage | None


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        score: of the file that is there at the end.
        seconds: at which the process ended.
        late: the last file was not there in time.
        rows: image -> passes that the row of the file was fused from.
        file: what the file is, in words.
    """

    score: float
    seconds: float
    late: bool
    rows: dict[int, tuple[int, ...]]
    file: str


@dataclass
class Log:
    """What a run did, for tests and for people.

    Attributes:
        spans: of the workers.
        decisions: second and decision, without tasks.
    """

    spans: list[Span] = field(default_factory=list)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
