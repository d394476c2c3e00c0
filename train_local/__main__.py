"""`python -m train_local`: prepare, train, train-all, job, ensemble, report, recipes, baseline, sample."""

from __future__ import annotations

import sys

from kit.local.program import run_cli
from train_local.cli import main

if __name__ == "__main__":
    sys.exit(run_cli(main))
