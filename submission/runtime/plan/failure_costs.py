"""What a failed task costs: one more try, a row, a pass over one image, the image, or the member.

    the image cannot be read                      the image is given up
    a library raised, the worker died or hung,
    or memory was too small, for the first time   the task is tried again, a pass with a batch of one
    the disk is full                              the image goes on without this pass; nobody is blamed
    any other failure of a pass                   the image goes on without this pass; the member is blamed
    the member is blamed, never succeeded, and
    (cannot be loaded, or failed on 2 images)     the member is dropped
    a row or a mean failed                        the image loses the row, or goes on without the pass

Example of the first-success rule: member 3 fails on image A, then works on image B. It stays, and only A
loses its passes. If it fails on A and on B before any success, it is dropped, and A and B go on without it.
With a single image, one failure is enough.
"""

from __future__ import annotations

from submission.runtime.plan.changes import Consequence, LeaveOut, LoseImage, LoseMember, LoseRow, TryAgain
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import MAY_PASS, FuseTask, LadderTask, MeanTask, PassTask, Stage

TRIES = 2
"""Number of times a task is given to a worker at most."""
_FAILED_IMAGES = 2
"""Drop a member that failed on this many images and never succeeded."""


def failure_cost(state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
    """Return what a failure costs; the state has already counted it."""
    if isinstance(task, PassTask) and stage == "image":
        return LoseImage(task.image, reason)
    if stage in MAY_PASS and state.failures(task) < TRIES:
        return TryAgain(task)
    # A row that cannot be fused costs only itself: higher rungs have other settings and may still work.
    if isinstance(task, FuseTask):
        return LoseRow(task.rung, task.image)
    leave_out = LeaveOut(task.index, task.image, stage, reason)
    # The member has done its part if a mean fails, and nothing is its fault if the disk is full.
    if isinstance(task, MeanTask) or stage == "disk":
        return leave_out
    member = state.ensemble.passes[task.index].member
    if state.losses.successes[member] > 0:
        return leave_out
    # Blame needs a second image: one image that kills every network must not cost all members.
    failed_on = state.losses.blamed_on(member) | {task.image}
    hopeless = len(failed_on) >= min(_FAILED_IMAGES, len(state.live_images()))
    return LoseMember(member, reason) if stage == "load" or hopeless else leave_out
