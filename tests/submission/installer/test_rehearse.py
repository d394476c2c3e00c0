"""The rehearsal of install.py through its command: an image of this Python with numpy and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from kit.local.targets import known
from tests.submission.installer.conftest import OWN

ROOT = Path(__file__).parents[3]


@pytest.fixture
def rehearse(bundle, tmp_path):
    """Run the command on a copy of the bundle; returns it with that folder."""
    targets = tmp_path / "targets"
    targets.mkdir()
    tag = "cp" + OWN.replace(".", "")
    image = replace(known()[0], name="bare", python=OWN, tag=tag, image_has={"packaging": None}, freeze=None)
    (targets / "bare.json").write_text(json.dumps(asdict(image)))
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)

    def run(*arguments):
        command = [sys.executable, "-m", "submission", "rehearse-install", "--bundle", folder]
        places = ["--targets", targets, "--venvs", tmp_path / "venvs", "--python", OWN]
        command = [*map(str, (*command, *places, *arguments))]
        wide = {**os.environ, "COLUMNS": "200"}  # so that no cell of a table is broken
        return subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, check=False)

    run.folder = folder
    return run


def test_each_way_of_kaggle_is_tried_and_told(rehearse):
    done = rehearse("--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"2 of 3: Python {OWN}, old mounts, archives packed" in done.stderr
    runs = json.loads(done.stdout)
    assert [(run["layout"], run["archives"]) for run in runs] == [
        ("new", "unpacked"),
        ("old", "packed"),
        ("new", "doubled"),
    ]
    for run in runs:
        assert run["problem"] is None
        assert run["image"] == "bare"
        assert run["installed"] == {"compiled": "1.0", "helper": "1.6+local.1", "tool": "2.0"}
        assert run["copies"] == {"compiled": "1.0 ours", "tool": "2.0 ours"}
        assert "imported    compiled, tool" in Path(run["log"]).read_text()
    assert json.loads((rehearse.folder / "rehearsal" / "rehearsal.json").read_text()) == runs
    table = rehearse("--layout", "old", "--archives", "unpacked")
    assert table.returncode == 0, table.stderr
    assert "all imported" in " ".join(table.stdout.split())


def test_what_would_fail_on_kaggle_fails_here_and_says_why(rehearse):
    archive = rehearse.folder / "tiny-wheels" / "wheels-common.zip"
    data = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(data[: len(data) // 2])
    done = rehearse("--layout", "new", "--archives", "packed")
    assert done.returncode == 2
    assert "error: 1 of 1 installations failed" in done.stderr
    assert "what fails here fails on Kaggle" in done.stderr


def test_a_missing_installer_and_a_python_that_is_not_served_are_told(rehearse):
    (rehearse.folder / "install.py").unlink()
    done = rehearse()
    assert done.returncode == 2
    assert "install.py is missing" in done.stderr
    assert "python -m submission installer" in done.stderr
