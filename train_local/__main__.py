"""`python -m train_local`: prepare, train, train-all, job, add-model, ensemble, report, recipes, baseline."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.local.program import run_cli


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    # Imported here, so that Ctrl-C and a Python without the kit's dependencies get `run_cli`'s message.
    from train_local import cli

    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(run_cli(main))
