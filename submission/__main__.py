"""`python -m submission render | rehearse | report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kit.errors import run_cli
from submission.rehearse import add_rehearse_command
from submission.render import add_render_command
from submission.report.page import add_report_command


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m submission", description="ensemble -> predict.py, and its rehearsal"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add_render_command(verbs)
    add_rehearse_command(verbs)
    add_report_command(verbs)
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(run_cli(main))
