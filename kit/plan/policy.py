"""What a policy is: the replaceable part that decides what the workers do.

A policy only looks at the state and at numbers; it starts no process, reads no file and asks no clock. It
changes nothing itself: what it decides is a value of `plan.changes`, and `LadderState.apply` carries it out.
So a policy can be tried on any state, in a simulation as well as in a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from kit.plan.changes import Consequence, Decision
from kit.plan.state import LadderState
from kit.plan.tasks import LadderTask, Stage


@dataclass(frozen=True)
class Asking:
    """The free worker that a decision is for.

    Attributes:
        kinds: what it may get: passes only, rows and means only, or all.
        loaded: the member that it holds, None if it holds none.
        elsewhere: members that other workers hold.
    """

    kinds: Literal["all", "passes", "rows"] = "all"
    loaded: int | None = None
    elsewhere: frozenset[int] = frozenset()

    def distance(self, member: int) -> int:
        """Return 0 for the member that it holds, 1 for one that nobody holds, 2 for one of another worker."""
        # Two workers and two members: each worker loads one, does all its images, and then helps the other.
        return 0 if member == self.loaded else 2 if member in self.elsewhere else 1


ANYONE = Asking()


@dataclass(frozen=True)
class Resources:
    """What is left at the moment.

    Attributes:
        seconds: until the last task has to be finished.
        free: bytes on the scratch disk.
        workers: that compute in parallel, at least 1.
        silence: seconds that a task that hangs takes, until its worker is replaced.
        asking: the worker that is free.
    """

    seconds: float
    free: float
    workers: int
    silence: float = 0.0
    asking: Asking = ANYONE


class Policy(Protocol):
    """Decides what happens next."""

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return the next decision; None if nothing can start before something ends or arrives.

        The caller applies a decision before it asks again. A task as decision goes to a free worker. A policy
        that returns None for ever ends the run only if `exhausted` is true.
        """

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs. The state has already counted it.

        Args:
            state: of the ladder.
            task: that failed.
            stage: what failed.
            reason: what failed, in words.
        """

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs and nothing can start any more, even if more members get ready."""
