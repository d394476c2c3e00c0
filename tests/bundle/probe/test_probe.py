"""`bundle probe` where no Kaggle is needed: this machine, and somebody's list."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.probe import kernel, observed, verb
from kit.artefacts import write_json
from kit.errors import BAD_INPUT, KitError
from kit.local import targets
from kit.local.kaggle.waiting import Waiting
from kit.typed_json import to_plain

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


@pytest.mark.parametrize("python", ["3.10", "3.14.0", "3.013", "cp313", "3"])
def test_a_python_that_no_bundle_can_be_built_for_is_refused(tmp_path, python):
    freeze, out = tmp_path / "theirs.txt", tmp_path / "t.json"
    freeze.write_text("numpy==2.4.1\n")
    words = "is not a version of Python 3" if python in {"cp313", "3"} else r"holds for 3\.11, 3\.12, 3\.13"
    with pytest.raises(KitError, match=words) as caught:
        verb.run(verb.Options(freeze=freeze, python=python, out=out, waiting=Waiting()))
    assert caught.value.fix
    assert not out.exists()


def test_a_python_that_does_not_exist_ends_the_command_with_what_there_is(tmp_path):
    (tmp_path / "theirs.txt").write_text("numpy==2.4.1\n")
    done = probe("--from", tmp_path / "theirs.txt", "--python", "3.99", "--out", tmp_path / "t.json")
    assert done.returncode == BAD_INPUT
    assert done.stderr.startswith("error: the kit has no wheels for Python 3.99: requirements.lock holds for")
    assert "where: --python" in done.stderr


def test_what_a_probe_saw_says_which_python_it_is_of_also_one_without_wheels(tmp_path):
    seen = tmp_path / "observed.json"
    write_json(seen, {**to_plain(kernel.here(BARE)), "schema": observed.SCHEMA, "python": "3.14.0"})
    done = probe("--from", seen, "--python", "3.14", "--out", tmp_path / "new.json")
    assert (done.returncode, "says which Python it is of" in done.stderr) == (BAD_INPUT, True)
    done = probe("--from", seen, "--out", tmp_path / "new.json")
    assert done.returncode == 0, done.stderr
    assert "no bundle can be built for Python 3.14 yet" in done.stderr
    assert targets.load(tmp_path / "new.json").tag == "cp314"


@pytest.mark.parametrize(
    "arguments", [("--local", "--from", "x"), ("--python", "3.13"), ("--from", "absent.txt")]
)
def test_options_that_do_not_fit_are_told(arguments):
    done = probe(*arguments)
    assert (done.returncode, done.stderr.startswith("error: ")) == (BAD_INPUT, True), done.stderr
