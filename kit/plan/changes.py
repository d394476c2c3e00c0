"""What a policy can decide. `LadderState.apply` carries every change out."""

from __future__ import annotations

from dataclasses import dataclass, field

from kit.plan.tasks import LadderTask, Stage


@dataclass(frozen=True)
class UseRunningMeans:
    """Keep one running mean per image on the disk instead of one map per pass."""


@dataclass(frozen=True)
class StartRung:
    """Start a rung: its passes may run and its rows may be fused.

    Attributes:
        rung: index in `Ensemble.rungs`.
        seconds: that it is expected to take; None if nobody asked.
        chance: probability that it is done in time.
    """

    rung: int
    seconds: float | None = field(default=None, compare=False)
    chance: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RefuseRung:
    """Do not start a rung, nor any rung after it.

    Attributes:
        rung: index in `Ensemble.rungs`.
        seconds: predicted time, where the time is too short.
        reason: why the disk is too small, where it is.
    """

    rung: int
    seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class LeaveOut:
    """Go on with an image without one of its passes.

    Attributes:
        index: of the pass.
        image: id of the image.
        stage: what failed.
        reason: the same in words.
    """

    index: int
    image: str
    stage: Stage
    reason: str


@dataclass(frozen=True)
class TryAgain:
    """Give a failed task to a worker once more."""

    task: LadderTask


# What is lost for a `stage` may come back with `BringBack`; without a stage it is lost for good.


@dataclass(frozen=True)
class LoseRow:
    """Give up one image's row of one rung; an earlier rung's row stays."""

    rung: int
    image: str
    stage: Stage | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LoseImage:
    """Give up an image: it gets no further prediction."""

    image: str
    reason: str
    stage: Stage | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LoseMember:
    """Drop a member: rungs are fused without its passes."""

    member: int
    reason: str
    stage: Stage | None = field(default=None, compare=False)


Item = int | str
"""What can be set aside: a member, by its index, or an image, by its id."""


@dataclass(frozen=True)
class BringBack:
    """Give a member or an image that was set aside another chance.

    Attributes:
        item: the member or the image.
        seconds: that were left at that moment.
    """

    item: Item
    seconds: float


@dataclass(frozen=True)
class GiveUp:
    """Give a member or an image that was set aside no further chance: the time or the disk is too small."""

    item: Item


Decision = LadderTask | UseRunningMeans | StartRung | RefuseRung | LeaveOut | LoseRow | BringBack | GiveUp
Consequence = TryAgain | LeaveOut | LoseRow | LoseImage | LoseMember
Change = Decision | Consequence
