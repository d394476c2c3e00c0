"""`bundle probe` where no Kaggle is needed: this machine, and somebody's list."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.probe import verb
from kit.errors import BAD_INPUT
from kit.local import targets
from kit.local.kaggle.waiting import Waiting

ROOT = Path(__file__).parents[3]
BARE = str(Path(sys.base_prefix) / "bin" / "python3")
"""A Python without our packages: the probe asks torch in a process of its own."""


def probe(*arguments):
    command = [sys.executable, "-m", "bundle", "probe", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_this_machine_becomes_a_target(tmp_path):
    done = probe("--local", "--out", tmp_path / "here.json", "--name", "here")
    assert done.returncode == 0, done.stderr
    target = targets.load(tmp_path / "here.json")
    assert target.name == "here"
    assert target.tag == f"cp3{sys.version_info.minor}"
    assert target.torch is not None
    assert target.packages()["numpy"] == target.numpy
    assert target.accelerator is None, "this is no Kaggle session"
    again = probe("--local", "--out", tmp_path / "here.json", "--name", "here")
    assert again.returncode == BAD_INPUT
    assert "--replace" in again.stderr


@pytest.mark.parametrize("options", [{"local": True}, {"accelerator": "cpu"}])
def test_the_name_that_it_chooses_is_free(options):
    asked = verb.Options(**options, waiting=Waiting())
    # A probe on Kaggle costs minutes of a session, so that name is known before.
    name = verb._expected_name(asked) or verb._target(asked, targets.known()).name
    assert name not in {target.name for target in targets.known()}
    if not asked.local:
        assert re.fullmatch(r"kaggle-20\d\d-\d\d-cpu", name)


def test_the_probe_runs_alone_and_writes_no_value_of_the_environment(tmp_path):
    source = tmp_path / "script.py"
    source.write_text((ROOT / "bundle/probe/probe_kernel.py").read_text())
    secret = "value-of-a-credential"
    done = subprocess.run(
        [BARE, "-I", "-S", str(source), "--out", str(tmp_path)],
        env={"KAGGLE_KEY": secret, "PATH": ""}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "observed.json").read_text()
    assert secret not in text + done.stdout + done.stderr
    seen = json.loads(text)
    assert "KAGGLE_KEY" in seen["environment"]
    assert seen["torch"]["problem"], "this Python has no torch"


def test_a_freeze_becomes_a_target_once_its_python_is_told(tmp_path):
    freeze = tmp_path / "theirs.txt"
    freeze.write_text("torch==2.11.0+cu128\nnumpy==2.4.1\n")
    silent = probe("--from", freeze, "--out", tmp_path / "t.json")
    assert (silent.returncode, "--python 3.13" in silent.stderr) == (BAD_INPUT, True)
    done = probe("--from", freeze, "--python", "3.13", "--out", tmp_path / "t.json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == "theirs"
    assert targets.load(tmp_path / "t.json").torch == "2.11.0"


@pytest.mark.parametrize(
    "arguments", [("--local", "--from", "x"), ("--python", "3.13"), ("--from", "absent.txt")]
)
def test_options_that_do_not_fit_are_told(arguments):
    done = probe(*arguments)
    assert (done.returncode, done.stderr.startswith("error: ")) == (BAD_INPUT, True), done.stderr
