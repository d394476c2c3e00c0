"""Runs a supervisor to its end, however it ends: signals, errors, what is deleted, the exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import traceback
from dataclasses import replace

from kit.errors import BAD_INPUT, KitError
from submission.runtime.inputs.competition_data import Listed
from submission.runtime.inputs.scratch import Scratch
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.result.summary import conclude, environment_facts
from submission.runtime.script.options import Options
from submission.runtime.script.process import CRASHED, end_at, within
from submission.runtime.script.script import Script, in_notebook
from submission.runtime.work.dry_run import dry_run
from submission.runtime.work.supervisor import Supervisor

_MARGIN, _SHARE = 0.4, 0.05
"""Seconds before the end of the budget at which the process ends whatever it waits for, and the part of a
budget of some seconds that they take at most: else they would begin before the last file is written."""


def run_to_end(script: Script, options: Options, report: RunReport, listed: Listed) -> int:
    """Predict, publish, report; end the workers and delete the scratch folder whatever happens.

    Args:
        script: the running predict.py.
        options: of the command line.
        report: with the clock of the process.
        listed: the images to predict; their fallback is written.

    Returns:
        The exit code.
    """
    supervisor = Supervisor(script, options, report, listed)
    code = BAD_INPUT  # of a run that comes to nothing before its budget ends
    margin = min(_MARGIN, _SHARE * options.budget)
    if not in_notebook():

        def last() -> int:
            reached = 0 if supervisor.predicted else code
            if "exit_code" not in report.values:  # what the run came to is not told yet
                with contextlib.suppress(Exception):  # the main thread may hold the report, or its disk hangs
                    within(margin / 2, lambda: report.fail(wording.CUT_OFF, reached))
            supervisor.end_processes()
            return reached

        end_at(supervisor.end - margin, last)
    try:
        code = _predict(supervisor)
        if code == 0:
            dry_run(supervisor)
    except KitError as error:  # no scratch disk
        report.fail(str(error), BAD_INPUT)
        code = BAD_INPUT
    except Exception as error:  # noqa: BLE001 - what is published stays
        code = 0 if supervisor.predicted else CRASHED
        report.fail(wording.supervisor_failed(error), code)
        traceback.print_exc()
    finally:
        supervisor.end_processes()
        delete(supervisor.scratch, supervisor.end - 2 * margin)
    return code


def delete(scratch: Scratch | None, until: float) -> None:
    """Delete the scratch folder, but stop waiting for that when the budget ends.

    Thousands of unpacked files took seconds. The disk of a batch session on Kaggle ends with the session,
    so nothing is deleted there but what lies in the output folder, which Kaggle keeps.
    """
    if scratch is None or (os.environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Batch" and not scratch.in_output):
        return
    with contextlib.suppress(Exception):
        within(until - time.monotonic(), lambda: shutil.rmtree(scratch.folder, ignore_errors=True))


def _predict(supervisor: Supervisor) -> int:
    report, options, ensemble = supervisor.report, supervisor.options, supervisor.ensemble
    report.values.update(
        competition=ensemble.competition,
        ensemble=ensemble.as_dict(),
        budget=options.budget,
        deadline=round(report.elapsed(supervisor.deadline), 3),
        **environment_facts(),
    )
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
