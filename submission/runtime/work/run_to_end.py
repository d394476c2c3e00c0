"""Runs a supervisor to its end, however it ends: signals, errors, what is deleted, the exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType

from kit.errors import BAD_INPUT, KitError
from submission.runtime.inputs.scratch import Scratch
from submission.runtime.result import wording
from submission.runtime.result.summary import CRASHED, conclude, environment_facts
from submission.runtime.script.script import in_notebook
from submission.runtime.work.supervisor import Supervisor


def run_to_end(supervisor: Supervisor) -> int:
    """Predict, publish, report; end the workers and delete the scratch folder whatever happens.

    Args:
        supervisor: a new one.

    Returns:
        The exit code, in a notebook. Elsewhere the process ends here.
    """
    _introduce(supervisor)
    code = CRASHED
    with _signals_stop(supervisor):
        try:
            code = _predict(supervisor)
        except KitError as error:
            print(f"error: {error}", file=sys.stderr)
            code = BAD_INPUT
        except Exception:  # noqa: BLE001 - the traceback is printed, and the workers still have to end
            traceback.print_exc()
        finally:
            if supervisor.scratch is not None:
                supervisor.workers.processes.kill_all()
                _delete(supervisor.scratch, supervisor.end)
            with contextlib.suppress(OSError):  # the output may be closed
                sys.stdout.flush()
                sys.stderr.flush()
        if not in_notebook():
            # A thread that hangs in a read of a dead mount must not keep the process.
            os._exit(code)
    return code


def _introduce(supervisor: Supervisor) -> None:
    report, options, ensemble = supervisor.report, supervisor.options, supervisor.ensemble
    report.event("start")
    report.values.update(
        competition=ensemble.competition,
        ensemble=ensemble.as_dict(),
        budget=options.budget,
        deadline=round(report.elapsed(supervisor.deadline), 3),
        **environment_facts(),
    )
    report.say(wording.plan_of_run(ensemble, options.budget))


def _predict(supervisor: Supervisor) -> int:
    supervisor.begin()
    crash: str | None = None
    # If the loop fails, rows that are complete still get published.
    for step in (supervisor.work, supervisor.finish):
        try:
            step()
        except Exception as error:  # noqa: BLE001 - complete rows are published and reported even so
            crash = crash or wording.supervisor_failed(error)
            supervisor.report.problem(wording.supervisor_failed(error), trace=traceback.format_exc())
            traceback.print_exc()
    # A fault of this program is told as such, and not as a budget that was too short.
    return conclude(replace(supervisor.outcome(), crash=crash), supervisor.report)


@contextlib.contextmanager
def _signals_stop(supervisor: Supervisor) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the run as if the time were up; restore the handlers afterwards."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        supervisor.stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _delete(scratch: Scratch, until: float) -> None:
    """Delete the scratch folder, but stop waiting for that when the budget ends.

    Thousands of unpacked files took up to 9 s. The disk of a batch session on Kaggle ends with the session,
    so nothing is deleted there but what lies in the output folder, which Kaggle keeps.
    """
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Batch" and not scratch.in_output:
        return
    thread = threading.Thread(
        target=shutil.rmtree, args=(scratch.folder,), kwargs={"ignore_errors": True}, daemon=True
    )
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
