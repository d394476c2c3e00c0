"""Every command line of a session answers `--help` at once: it loads no library that takes seconds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = (
    "train_local",
    "bundle",
    "submission",
    "kit",
    "kit.models",
    "benchmarks",
    "tests.golden",
    "tests.kaggle_server",
)
HEAVY = (
    "torch",
    "cv2",
    "mmcv",
    "mmdet",
    "mmseg",
    "timm",
    "pandas",
    "matplotlib",
    "scipy",
    "tifffile",
    "requests",
    "bs4",
    "kaggle",
    "kagglesdk",
    "cyclonedx",
)

# Asks for the help of a module and of all its verbs, in one process, and prints what that has loaded.
ASK = """
import contextlib, io, re, runpy, sys

def ask(*verbs):
    text, sys.argv = io.StringIO(), ["", *verbs, "--help"]
    with contextlib.redirect_stdout(text):
        try:
            runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            assert stop.code == 0, stop.code
    assert text.getvalue().startswith("usage: "), text.getvalue()
    asked.append(" ".join(verbs))
    if " VERB " in text.getvalue():
        for name in re.findall(r"^    (\\S+)", text.getvalue(), re.M):
            ask(*verbs, name)

MODULE, asked = sys.argv[1], []
ask()
print(asked)
print(sorted(set(HEAVY) & set(sys.modules)))
"""


@pytest.mark.parametrize("module", MODULES)
def test_help_loads_nothing_heavy(module):
    script = ASK.replace("HEAVY", repr(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", script, module], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    asked, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    if module == "bundle":
        assert "'wheel mmcv'" in asked
    if not module.startswith("tests."):
        assert asked.count("'") >= 6, f"only {asked} were asked"


def test_every_module_that_a_session_runs_is_asked():
    text = (ROOT / "noxfile.py").read_text()
    ours = {name.split(".")[0] for name in MODULES}
    run = {name for name in re.findall(r'"-m",\s*"([\w.]+)"', text) if name.split(".")[0] in ours}
    assert run
    assert run <= set(MODULES)
