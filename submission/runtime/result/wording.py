"""The sentences that a run prints and writes to report.json. Search here for a line that you saw."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.plan.changes import (
    Consequence,
    LeaveOut,
    LoseImage,
    LoseMember,
    LoseRow,
    RefuseRung,
    StartRung,
    TryAgain,
)
from kit.plan.tasks import FuseTask, LadderTask, PassTask
from submission.runtime.result.report import counted

NO_GPU_COMPUTES = "no GPU computes: the CPU is used instead"
HANGS = "a worker gives no sign of life"
MORE_NOTES = "report.json holds the notes on further images"
STOPPED = "the run was stopped by a signal"
TIME_IS_UP = "the time is up"
CUT_OFF = "the budget was used up before the run had ended; submission.csv stays as it is: raise --budget"
IMAGE_HAS_ALL = "the image has all packages; nothing was installed"

# The beginning


def plan_of_run(ensemble: Ensemble, budget: float) -> str:
    """What will be predicted with."""
    passes = "1 pass" if len(ensemble.passes) == 1 else f"{len(ensemble.passes)} passes"
    return (
        f"{ensemble.competition}: {counted(len(ensemble.members), 'member')}, {passes}, "
        f"{counted(len(ensemble.rungs), 'rung')}; the budget is {budget:.0f} s"
    )


def fallback_written(images: int, folder: Path, file: Path) -> str:
    """The first valid file exists."""
    return f"{counted(images, 'image')} listed in {folder}; the fallback is written to {file}"


def headers_read(images: int, megapixels: float) -> str:
    """The sizes of the images are known."""
    return f"{counted(images, 'image')} with {megapixels:.1f} megapixels can be read"


def cannot_start(error: Exception) -> str:
    """A package that the program itself needs is missing or broken."""
    if isinstance(error, ModuleNotFoundError):
        return (
            f"the package {error.name} is not installed for {sys.executable}, and predict.py needs it to "
            "start; submission.csv holds the fallback\n  fix:   use Kaggle's own image, or install it"
        )
    return f"the program cannot start; submission.csv holds the fallback: {type(error).__name__}: {error}"


def fallback_row(image: str, reason: str) -> str:
    """An image cannot be read."""
    return f"image {image} gets the fallback row: {reason}"


def manifests_missing(names: Sequence[str]) -> str:
    """Datasets were found without their manifest."""
    return f"no folder carries the manifest of {', '.join(names)}: looking for its files by content"


def installed(tool: str, names: Sequence[str]) -> str:
    """Packages are in place."""
    return f"installed with {tool}: {', '.join(names)}" if names else IMAGE_HAS_ALL


def installer_skipped(tool: str, problem: str) -> str:
    """An installer did not work, and the next one was tried."""
    return f"an installer was skipped: {tool}: {problem}"


def member_lost(error: KitError, follows: str) -> str:
    """A member cannot be prepared."""
    return f"{error}\n  so:    {follows}"


# Workers


def worker_not_started(reason: str) -> str:
    """One worker process could not be made."""
    return f"a worker could not be started: {reason}"


def workers_cannot_start(reason: str, logs: Path) -> KitError:
    """No worker process can be made."""
    return KitError(
        f"workers cannot be started: {reason}", where=logs, fix="free memory, and space on that disk"
    )


def workers_do_not_start(why: str, log: Path) -> KitError:
    """Worker processes end before they are ready."""
    return KitError(
        f"workers do not start: {why}",
        where=log,
        fix="run `import torch` in a cell: if it fails, the image's torch is broken; else free memory",
    )


def start_later(problem: str, seconds: float) -> str:
    """No worker starts, but one may start later."""
    return f"{problem}; one worker is started in {seconds:.0f} s"


def no_gpu() -> KitError:
    """A GPU was asked for, and there is none."""
    return KitError(
        "no GPU is visible", where="--device cuda", fix="switch the accelerator on, or use --device cpu"
    )


def worker_problem(number: int, problem: str) -> str:
    """A worker cannot be used, or failed while it had no task."""
    return f"worker {number}: {problem}"


def silent(limit: float) -> str:
    """A worker hangs."""
    return f"no sign of life for {limit:.0f} s"


def trying_again(item: int | str, ensemble: Ensemble) -> str:
    """What was set aside gets another chance."""
    what = f"image {item}" if isinstance(item, str) else f"member {ensemble.members[item].name}"
    return f"{what} is tried again, alone"


def read_with(image: str, notes: Sequence[str]) -> str:
    """What the reader of an image assumed."""
    return f"image {image}: {'; '.join(notes)}"


def plain_output(member: str, images: int, kind: str) -> str:
    """A member says nothing."""
    what = "finds nothing" if kind == "instance" else "gives the same everywhere"
    return f"member {member} {what} in {images} of {images} images: its weights or its training are damaged"


def equal_output(one: str, other: str, images: int) -> str:
    """Two members say the same."""
    return (
        f"members {one} and {other} give the same output for {images} images: one adds nothing; look whether "
        "one file of weights has two names"
    )


def in_smaller_windows(halvings: int) -> str:
    """Memory did not hold a window."""
    return f"memory ran out with a batch of one: seen in windows of 1/{2**halvings} of the side"


# Tasks


def rung_begins(started: StartRung, left: float) -> str:
    """A further rung begins, and how likely it is done in time."""
    likely = "" if started.chance is None else f", {100 * started.chance:.0f} % likely to be done in time"
    return f"rung {started.rung + 1} begins: {started.seconds:.0f} s expected, {left:.0f} s left{likely}"


def first_forward(seconds: float) -> str:
    """The first network computes."""
    return f"first forward pass after {seconds:.1f} s"


def progress(  # every number of one line
    ensemble: Ensemble, index: int, *, done: int, images: int, rate: float, left: float
) -> str:
    """Say how much of a pass is done."""
    item = ensemble.passes[index]
    return (
        f"pass {index + 1} of {len(ensemble.passes)} ({ensemble.members[item.member].name}, {item.view}): "
        f"{done} of {images} images, {rate:.3g} s per megapixel, {left:.0f} s left"
    )


def task_failed(task: LadderTask, problem: str, follows: str, ensemble: Ensemble) -> str:
    """A task failed, and what follows from it."""
    if isinstance(task, FuseTask):
        what = f"row of rung {task.rung + 1}"
    else:
        item = ensemble.passes[task.index]
        what = f"pass {task.index + 1} ({ensemble.members[item.member].name}, {item.view})"
    return f"{what}, image {task.image}: {problem}; {follows}"


def no_room(left_out: LeaveOut, follows: str) -> str:
    """The disk is too small for a pass over an image."""
    return f"pass {left_out.index + 1}, image {left_out.image}: {left_out.reason}; {follows}"


def what_follows(
    consequence: Consequence, ensemble: Ensemble, rows: Mapping[tuple[int, str], str], *, again: bool = False
) -> str:
    """What a failure costs.

    Args:
        consequence: of the failure.
        ensemble: knows the members' names.
        rows: (rung, image) of all rows that exist.
        again: what is set aside has a chance left.
    """
    later = ", and is tried again if time is left" if again else ""
    match consequence:
        case TryAgain(task):
            how = " with a batch of one" if isinstance(task, PassTask) else ""
            return f"image {task.image} is tried again{how}"
        case LeaveOut():
            return f"image {consequence.image} goes on without this pass{later}"
        case LoseImage(image):
            return (
                f"image {image} {'is set aside' if again else _kept(image, len(ensemble.rungs), rows)}{later}"
            )
        case LoseMember():
            return f"member {ensemble.members[consequence.member].name} is dropped{later}"
        case LoseRow(rung, image):
            return f"image {image} {_kept(image, rung, rows)}{later}"


def _kept(image: str, below: int, rows: Mapping[tuple[int, str], str]) -> str:
    # Rungs count from 0 here, and from 1 for people.
    earlier = max((lower for lower, name in rows if name == image and lower < below), default=None)
    return "gets the fallback row" if earlier is None else f"keeps its row of rung {earlier + 1}"


# The file


def rung_written(state: str, rungs: int, rows: int) -> str:
    """A better file replaced the old one."""
    return f"{state} of {rungs} written: {counted(rows, 'predicted row')}"


def rung_not_composed(rung: int, problem: str) -> str:
    """The file of a rung cannot be written to the scratch disk."""
    return f"the file of rung {rung + 1} could not be put together: {problem}"


def rung_not_validated(rung: int, problem: str) -> str:
    """The validator did not come to an end."""
    return f"rung {rung + 1} could not be validated: {problem}"


def rung_found(rung: int, finding: str) -> str:
    """The validator found something."""
    return f"rung {rung + 1}: {finding}"


def last_file_invalid(finding: str) -> str:
    """The file made at the end is not used."""
    return f"the last file is not valid and was not used: {finding}"


# The end


def supervisor_failed(error: Exception) -> str:
    """A fault of this program."""
    return f"the supervisor failed: {type(error).__name__}: {error}"


def process_left(error: Exception) -> str:
    """A process could not be ended in time."""
    return f"a process did not end and is left behind: {type(error).__name__}: {error}"


def not_started(refused: RefuseRung) -> str:
    """Why a rung was not started."""
    if refused.seconds is None:
        return f"rung {refused.rung + 1}: {refused.reason}"
    return f"rung {refused.rung + 1}: would take {refused.seconds:.0f} s, too long even if all went very fast"


def no_test_images(name: str, why: str) -> str:
    """A commit run has nothing to predict."""
    line = "*" * 100
    return (
        f"{line}\nNOTHING WAS PREDICTED: this run has no test image that can be read ({why}).\n"
        f"{name} holds the fallback, so that this version can be submitted. That is right if Kaggle puts the "
        "real images in place\nonly for the rerun. If images should be here, something is wrong: "
        f"see the lines above.\n{line}"
    )


def nothing_predicted(name: str, why: str) -> str:
    """The submission holds no prediction."""
    return f"error: nothing was predicted; {name} holds the fallback: {why}"
