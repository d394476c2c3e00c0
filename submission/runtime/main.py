"""predict.py's command line: predict, explain, or serve as a worker."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from kit.errors import BAD_INPUT, KitError
from submission.runtime.explain import explain
from submission.runtime.inputs.test_images import Options, embedded
from submission.runtime.result.report import RunReport, process_start
from submission.runtime.script.script import Script
from submission.runtime.work.run_to_end import run_to_end
from submission.runtime.work.supervisor import Supervisor
from submission.runtime.work.worker import serve

DEFAULT_BUDGET = 8.5 * 3600
"""Seconds; half an hour less than the nine hours that most competitions allow."""
_LONGEST = 30 * 86400
"""Seconds; the system calls that wait have a limit, and no competition runs for a month."""
_LONGEST_STALL = 300.0
_SHORTEST_STALL = 20.0


def parser() -> argparse.ArgumentParser:
    """Return the parser of predict.py's options; on Kaggle none is needed."""
    result = argparse.ArgumentParser(
        prog="predict.py",
        description="Predict a Kaggle competition's test images offline, within a time budget.",
    )
    result.add_argument("--input", type=Path, default=Path("/kaggle/input"), help="folder with the mounts")
    result.add_argument(
        "--output", type=Path, default=Path("/kaggle/working"), help="folder for submission.csv, report.json"
    )
    result.add_argument("--budget", type=_seconds, default=DEFAULT_BUDGET, help="seconds from start to end")
    result.add_argument("--device", default="auto", help="auto, cpu or cuda")
    result.add_argument(
        "--workers", type=_count, help="number of processes; default: one per GPU, else one per core"
    )
    result.add_argument("--batch-size", type=_count, help="instead of the ensemble's own batch sizes")
    result.add_argument(
        "--stall", type=_seconds, help="replace a worker that was silent for this many seconds"
    )
    result.add_argument("--explain", action="store_true", help="print the plan and run nothing")
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
        script: the running predict.py.
        argv: its arguments.

    Returns:
        0: valid file with predictions; 1: a fault of this program; 2: bad input, nothing could be predicted.
    """
    start = process_start()
    args = parser().parse_args(argv)
    # A worker is this very script, started by its supervisor with the supervisor's process id.
    if args.worker is not None:
        ensemble, _ = embedded(script)
        return serve(ensemble, args.device, args.worker)
    if args.device not in {"auto", "cpu", "cuda"}:
        parser().error(f"--device {args.device}: choose auto, cpu or cuda")
    try:
        if args.explain:
            print(explain(script, _options(args)))
            return 0
        supervisor = Supervisor(script, _options(args), RunReport(start))
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return run_to_end(supervisor)


def _options(args: argparse.Namespace) -> Options:
    """Return the options; a quarter of the budget is the limit of silence, within 20 s and 300 s."""
    stall = args.stall or max(_SHORTEST_STALL, min(_LONGEST_STALL, args.budget / 4))
    return Options(
        input=args.input,
        output=args.output,
        budget=args.budget,
        device=args.device,
        workers=args.workers,
        batch_size=args.batch_size,
        stall=stall,
    )
