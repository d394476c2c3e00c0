"""Out-of-fold predictions -> `ensemble.json`: members, nested rungs, weights, thresholds and costs."""

from train_local.ensemble.build import build_ensemble
from train_local.ensemble.finished_runs import FinishedRun, find_finished_runs
from train_local.ensemble.write import show_ensemble, write_ensemble

__all__ = ["FinishedRun", "build_ensemble", "find_finished_runs", "show_ensemble", "write_ensemble"]
