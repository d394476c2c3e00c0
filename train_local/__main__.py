"""`python -m train_local`: prepare, train, train-all, job, add-model, ensemble, report, recipes, baseline."""

from __future__ import annotations

import sys

from kit.errors import run_cli
from train_local.cli import main

if __name__ == "__main__":
    sys.exit(run_cli(main))
