"""Our network packages in environments of torch, the portable mmcv, mmdet and them, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import zipfile

import pytest

from bundle.own_wheel import SOURCES
from kit.local.lockfile import PYTHONS
from tests.bundle.fresh_python import ROOT, locked, succeed

OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]
FOREIGN = (
    "timm",
    "apex",
    "einops",
    "mmseg",
    "mmcls",
    "safetensors",
    "kit",
    "bundle",
    "train_local",
    "pytest",
)
LOOK = f"""
import importlib.metadata as metadata, importlib.util as util, json
ours = ("mmcv-full", "mmdet", "torch", "cbnetv2", "vit-adapter")
versions = dict((name, metadata.version(name)) for name in ours)
print(json.dumps([versions, [name for name in {FOREIGN} if util.find_spec(name)]]))
"""
ELSEWHERE = ("test_gradients.py", "test_readme.py")
"""Tests of the packages that take most of the time. In the repository they run with all others; the README's
examples also run here, on two Pythons. What is left imports every module of the wheels and calls it."""
QUIET = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


def run(python, *arguments, cwd, env=QUIET):
    done = subprocess.run(
        [python, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def readme_of(wheel):
    """The description an index would show, out of the wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode().split("\n\n", 1)[1]


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_there_is_nothing_but_what_they_ask_for(python_with_ours, tmp_path, version):
    python = python_with_ours(version)
    succeed("pip", "check", "--quiet", "--python", python)
    versions, foreign = json.loads(run(python, "-I", "-c", LOOK, cwd=tmp_path))
    assert foreign == []
    assert versions.pop("torch").startswith("2.")
    assert versions == {"mmcv-full": "1.7.2", "mmdet": "2.28.2", "cbnetv2": "0.1.1", "vit-adapter": "0.1.1"}


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", sorted(SOURCES))
def test_the_examples_of_its_readme_run(our_wheels, python_with_ours, tmp_path, name, version):
    examples = re.findall(r"^```python\n(.*?)^```$", readme_of(our_wheels[name]), re.DOTALL | re.MULTILINE)
    assert examples
    script = tmp_path / "example.py"
    script.write_text("\n".join(examples))
    run(python_with_ours(version), "-I", script, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SOURCES))
def test_its_own_tests_pass_once_there_is_pytest(python_with_ours, tmp_path, name):
    python = python_with_ours(NEWEST)
    tools, tests = tmp_path / "tools", SOURCES[name].relative_to(ROOT) / "tests"
    (tmp_path / "tools.txt").write_text(locked(["pytest", "hypothesis"], NEWEST))
    install = ("pip", "install", "--quiet", "--python", python, "--target", tools)
    succeed(*install, "--require-hashes", "-r", tmp_path / "tools.txt")
    # The tests where they import each other's helpers from, without the sources: what is installed is tested.
    left_out = shutil.ignore_patterns("src", "__pycache__")
    shutil.copytree(SOURCES[name], tmp_path / tests.parent, ignore=left_out)
    options = ("-q", "--import-mode=importlib", "-p", "no:cacheprovider")
    options += tuple(f"--ignore={tests / file}" for file in ELSEWHERE)
    environment = {**QUIET, "PYTHONPATH": f"{tools}{os.pathsep}{tmp_path}"}
    said = run(python, "-P", "-m", "pytest", *options, tests, cwd=tmp_path, env=environment)
    assert re.search(r"\d+ passed", said)
