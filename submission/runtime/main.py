"""predict.py's command line: the supervisor, one of its workers, or an explanation."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from kit.errors import BAD_INPUT, KitError
from submission.runtime.explain import explain
from submission.runtime.inputs.test_images import Options, embedded
from submission.runtime.result.report import Journal, process_start
from submission.runtime.result.summary import conclude, environment_facts
from submission.runtime.script.script import Script, in_notebook
from submission.runtime.work.supervisor import Supervisor
from submission.runtime.work.worker import serve

DEFAULT_BUDGET = 8.5 * 3600
"""Half an hour below the usual limit of nine hours."""
_LONGEST = 30 * 86400
"""Seconds; what the system calls below can wait for has a limit, and no competition runs for a month."""
_CRASHED = 1


def parser() -> argparse.ArgumentParser:
    """predict.py's options; on Kaggle none is needed."""
    result = argparse.ArgumentParser(
        prog="predict.py",
        description="Predict a Kaggle competition's test images offline, within a time budget.",
    )
    result.add_argument("--input", type=Path, default=Path("/kaggle/input"), help="folder with the mounts")
    result.add_argument(
        "--output", type=Path, default=Path("/kaggle/working"), help="for submission.csv, report.json"
    )
    result.add_argument("--budget", type=_seconds, default=DEFAULT_BUDGET, help="seconds from start to end")
    result.add_argument("--device", default="auto", help="auto, cpu or cuda")
    result.add_argument("--workers", type=_count, help="processes; default: one a GPU, else one a core")
    result.add_argument("--batch-size", type=_count, help="instead of what the ensemble was tuned with")
    result.add_argument("--stall", type=_seconds, help="seconds of silence after which a worker is replaced")
    result.add_argument("--explain", action="store_true", help="print the plan, run nothing")
    result.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    return result


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) <= _LONGEST:
            return value
    raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0, at most {_LONGEST}")


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")


def main(script: Script, argv: Sequence[str]) -> int:
    """Run predict.py.

    Args:
        script: itself.
        argv: its arguments.

    Returns:
        0: valid file with predictions; 1: a fault of this program; 2: bad input, nothing could be predicted.
    """
    start = process_start()
    args = parser().parse_args(argv)
    if args.worker is not None:
        ensemble, _ = embedded(script)
        return serve(ensemble, args.device, args.worker)
    if args.device not in {"auto", "cpu", "cuda"}:
        parser().error(f"--device {args.device}: choose auto, cpu or cuda")
    options = Options(
        input=args.input,
        output=args.output,
        budget=args.budget,
        device=args.device,
        workers=args.workers,
        batch_size=args.batch_size,
        stall=args.stall or max(20.0, min(300.0, args.budget / 4)),
    )
    try:
        if args.explain:
            print(explain(script, options))
            return 0
        supervisor = Supervisor(script, options, Journal(start))
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return supervise(supervisor)


def _tidy(scratch: Path, until: float) -> None:
    """Delete scratch, for no longer than the budget allows.

    Thousands of unpacked files took up to 9 s; the disk of a batch session on Kaggle ends with the session.
    """
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") == "Batch":
        return
    work = threading.Thread(
        target=shutil.rmtree, args=(scratch,), kwargs={"ignore_errors": True}, daemon=True
    )
    work.start()
    work.join(max(0.0, until - time.monotonic()))


def supervise(supervisor: Supervisor) -> int:
    """Run the supervisor and end its workers however it ends.

    Args:
        supervisor: a new one.

    Returns:
        The exit code, in a notebook; elsewhere the process ends here.
    """
    journal, options, ensemble = supervisor.journal, supervisor.options, supervisor.ensemble
    journal.event("start")
    journal.report.update(
        competition=ensemble.competition,
        ensemble=ensemble.as_dict(),
        budget=options.budget,
        deadline=round(supervisor.deadline - journal.start, 3),
        **environment_facts(),
    )
    journal.say(
        f"{ensemble.competition}: {len(ensemble.members)} members, {len(ensemble.passes)} passes, "
        f"{len(ensemble.rungs)} rungs; budget {options.budget:.0f} s"
    )

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        supervisor.stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    code = _CRASHED
    try:
        supervisor.begin()
        for step in (supervisor.work, supervisor.finish):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - complete rows are written and reported even so
                journal.problem(
                    f"the supervisor failed: {type(error).__name__}: {error}", trace=traceback.format_exc()
                )
                traceback.print_exc()
        code = conclude(supervisor)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        code = BAD_INPUT
    except Exception:  # noqa: BLE001 - the traceback is printed, the workers still have to end
        traceback.print_exc()
    finally:
        supervisor.crew.pool.kill_all()
        _tidy(supervisor.scratch, journal.start + options.budget)
        with contextlib.suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
    if not in_notebook():
        # A thread that hangs in a read of a dead mount must not keep the process.
        os._exit(code)
    for number, handler in before.items():
        signal.signal(number, handler)
    return code
