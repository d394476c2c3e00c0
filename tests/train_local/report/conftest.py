import importlib.util
import sys
from pathlib import Path

import pytest

from tests.browser.fixtures import chromium
from train_local.data import prepare, prepared
from train_local.engine.train import train
from train_local.options import Options
from train_local.planned_runs import PlannedRun

__all__ = ["chromium"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Prepared discs, and a folder with a finished run, one that was stopped early, and one of a bad name."""
    spec = importlib.util.spec_from_file_location("blobs", Path(__file__).parents[1] / "blobs.py")
    blobs = sys.modules["blobs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(blobs)
    folder = tmp_path_factory.mktemp("report")
    ids = ("aa", "b<b>&", "cc", "dd")
    blobs.make_competition(folder / "data", ids)
    prepare.prepare("kidney", folder / "data", folder / "prepared", reductions=(1, 2), fold_count=2)
    data = prepared.load(folder / "prepared")
    for fold, seconds in ((0, None), (1, 0.0)):
        run, initial = PlannedRun(blobs.recipe(iterations=12), fold).ready(data, folder / "runs" / "kidney")
        train(run, data, Options(device="cpu", max_seconds=seconds, bars=False), initial=initial)
    return folder
