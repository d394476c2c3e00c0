"""What a failed task costs: one more try, a row, a pass over one image, the image, or the member."""

from __future__ import annotations

from kit.plan.changes import Consequence, LeaveOut, LoseImage, LoseMember, LoseRow, TryAgain
from kit.plan.set_aside import failed_for_others
from kit.plan.state import LadderState
from kit.plan.tasks import (
    MAY_PASS,
    TRIES,
    FuseTask,
    LadderTask,
    MeanTask,
    PassTask,
    Stage,
)

_KILLS: frozenset[Stage] = frozenset({"crash", "stall"})
"""Stages that cost a worker, too."""
_FAILED_IMAGES = 2
"""Drop a member that failed on this many images and never succeeded."""


def failure_cost(state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
    """Return what a failure costs; the state has already counted it."""
    # A damaged image fails with every member: nothing more is tried on it.
    if stage == "image":
        return LoseImage(task.image, reason)
    # A crash, a stall, too little memory: once more, by another worker, a pass with a batch of one. After a
    # stall of 300 s the worker is killed; if its task hangs again, 600 s are lost, and the task is given up.
    if stage in MAY_PASS and state.failures(task) < TRIES:
        return TryAgain(task)
    # A row that cannot be fused costs only itself: higher rungs have other settings and may still work.
    if isinstance(task, FuseTask):
        return LoseRow(task.rung, task.image, stage)
    if stage == "read":
        return LoseImage(task.image, reason, stage)
    leave_out = LeaveOut(task.index, task.image, stage, reason)
    # The member has done its part if a mean fails, and nothing is its fault if the disk is full.
    if isinstance(task, MeanTask) or stage == "disk":
        return leave_out
    return _cost_of_pass(state, task, leave_out)


def _cost_of_pass(
    state: LadderState, task: PassTask, leave_out: LeaveOut
) -> LeaveOut | LoseImage | LoseMember:
    # The first-success rule. Member 3 fails on image A, then works on B: it stays, only A loses its passes.
    # It fails on A and on B before any success: it is dropped, and A and B get their rows without it.
    member, stage, reason = state.ensemble.passes[task.index].member, leave_out.stage, leave_out.reason
    if state.losses.successes[member] > 0:
        return leave_out
    # An image that ended the workers of two members, and that none has succeeded on, ends all workers. With
    # 16 members and a limit of 300 s for silent ones, it would cost more than two hours.
    if stage in _KILLS and failed_for_others(state, task):
        return LoseImage(task.image, reason, stage)
    # Blame needs a second image (unless there is one only): one image that kills every network must not cost
    # all members. Weights that cannot be loaded need no second failure, and a member that was brought back
    # has failed often enough.
    failed_on = state.losses.blamed_on(member) | {task.image}
    hopeless = len(failed_on) >= min(_FAILED_IMAGES, len(state.live_images()))
    if stage == "load" or hopeless or state.chances.given[member]:
        return LoseMember(member, reason, stage)
    return leave_out
