"""`python -m kit score | validate | new-competition | doctor | completion`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.local.program import run_cli


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    # Imported here, so that Ctrl-C and a Python without the kit's dependencies get `run_cli`'s message.
    from kit.local import kit_program

    return kit_program.main(argv)


if __name__ == "__main__":
    sys.exit(run_cli(main))
