"""What a task takes in a simulated world, what the workers did, how the run ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.budget.machine import Machine
from kit.plan.changes import Decision
from kit.plan.tasks import PassTask, Stage, Task
from kit.plan.virtual_run import Work

_FAILS_AFTER = 0.5
"""Part of its time after which a task fails."""


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
