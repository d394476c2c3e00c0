import ast
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit.artefacts import sha256_file
from kit.competitions import get
from tests.golden import cut_images
from tests.golden.comparison import compare

HERE = Path(__file__).parent
NAMES = ["kidney", "vasculature"]


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_the_ensemble_names(name):
    plan = json.loads((HERE / name / "ensemble.json").read_text())
    for member in plan["members"]:
        path = HERE / name / "weights" / member["weights"]
        assert (sha256_file(path), path.stat().st_size) == (member["sha256"], member["size"])


def test_the_golden_files_stay_small():
    files = [path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 4_000_000


def test_the_slow_path_shares_nothing_with_the_engine_but_the_networks():
    tree = ast.parse((HERE / "slow_path.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    taken = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    ours = ("kit", "submission", "train_local", "bundle")
    assert not [name for name in imported if name.split(".")[0] in ours]
    assert {item for item in taken if item[0].split(".")[0] in ours} == {("kit", "models")}


def test_the_golden_images_are_what_the_sample_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(cut_images, "HERE", tmp_path)
    cut_images.make()
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(made) == 2 + 3 + len(NAMES)
    for path in made:
        if path.suffix == ".csv":
            assert (tmp_path / path).read_text() == (HERE / path).read_text()
        else:
            assert np.array_equal(tifffile.imread(tmp_path / path), tifffile.imread(HERE / path))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_expected_file_is_what_the_slow_path_gives(tmp_path, name):
    import runpy

    slow_path = runpy.run_path(str(HERE / "slow_path.py"))
    slow_path["write_expected"](HERE / name, tmp_path / "again.csv")
    report = compare(HERE / name / "expected.csv", tmp_path / "again.csv", get(name), HERE / name / "data")
    assert report.problems == []
