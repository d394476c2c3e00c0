"""`python -m bundle build | wheel | lock`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bundle import build, lock, wheel_verb
from kit.errors import run_cli


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundle", description="locks + weights -> Kaggle datasets"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    build.add_build_command(verbs)
    wheel_verb.add_wheel_command(verbs)
    lock.add_lock_command(verbs)
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(run_cli(main))
