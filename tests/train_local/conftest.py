import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from train_local.data import prepare, prepared


@pytest.fixture(scope="session")
def blobs():
    """The module beside this file; test folders are no packages, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("blobs", Path(__file__).with_name("blobs.py"))
    module = sys.modules["blobs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread():
    """Several threads on these tiny networks only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def blob_data(blobs, tmp_path_factory):
    """Prepared slides with discs on them, two folds."""
    folder = tmp_path_factory.mktemp("blobs")
    blobs.make_competition(folder / "data")
    prepare.prepare("kidney", folder / "data", folder / "prepared", reductions=(1, 2), fold_count=2)
    return prepared.load(folder / "prepared")


@pytest.fixture
def two_stages(blobs):
    """A recipe and one that starts from its weights."""
    first = blobs.recipe(name="early", iterations=1, folds=(0,))
    return first, replace(blobs.recipe(name="late", iterations=1), earlier_stage=first, folds=(0, 1))
