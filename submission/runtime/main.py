"""predict.py's command line: predict, explain, or serve as a worker."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.command_line import parse
from kit.errors import BAD_INPUT, KitError
from submission.runtime.explain import explain
from submission.runtime.inputs.competition_data import embedded
from submission.runtime.result.report import RunReport, process_start
from submission.runtime.script.options import CommandLine
from submission.runtime.script.script import Script
from submission.runtime.work.run_to_end import run_to_end
from submission.runtime.work.supervisor import Supervisor
from submission.runtime.work.worker import serve


def main(script: Script, argv: Sequence[str]) -> int:
    """Run predict.py.

    Args:
        script: the running predict.py.
        argv: its arguments.

    Returns:
        0: valid file with predictions; 1: a fault of this program; 2: bad input, nothing could be predicted.
    """
    start = process_start()
    try:
        command = parse(argv, CommandLine, prog="predict.py")
        # A worker is this very script, started by its supervisor with the supervisor's process id.
        if command.worker is not None:
            ensemble, _ = embedded(script)
            return serve(ensemble, command.options.device, command.worker)
        if command.explain:
            print(explain(script, command.options))
            return 0
        supervisor = Supervisor(script, command.options, RunReport(start))
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return run_to_end(supervisor)
