"""`python -m kit score|validate`: score a submission file, and check whether Kaggle would accept it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.errors import run_cli


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    # Imported here, so that a Python without the kit's dependencies gets `run_cli`'s message.
    from kit.local import submission_command

    return submission_command.main(argv)


if __name__ == "__main__":
    sys.exit(run_cli(main))
