"""Every command line of a session answers `--help` at once: it loads no library that takes seconds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import BAD_INPUT

ROOT = Path(__file__).parents[1]
MODULES = (
    "train_local",
    "bundle",
    "submission",
    "kit",
    "kit.models",
    "benchmarks",
    "documents",
    "tests.browser",
    "tests.golden",
    "tests.kaggle_server",
    "tests.faults",
)
HEAVY = (
    "torch",
    "numpy",
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
        for name in re.findall(r"^  ([a-z]\\S*)", text.getvalue().partition("examples:")[0], re.M):
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


WITHOUT_PACKAGES = {
    "train_local": ("recipes",),
    "bundle": ("targets",),
    "submission": ("submissions", "--log", "absent.jsonl"),
    "kit": ("score", "--competition", "kidney", "--data", "absent", "--submission", "absent.csv"),
    "kit.models": ("list",),
    "benchmarks": ("parameters",),
    "documents": ("check",),
    "tests.browser": ("--dist", "absent", "--runs", "absent", "--out", "absent"),
    "tests.golden": (),
    "tests.kaggle_server": ("--schedules", "1"),
    "tests.faults": ("--runs", "1"),
}
"""Module -> a verb that needs a package of ours or of others."""


@pytest.mark.parametrize("module", MODULES)
def test_a_python_without_our_packages_is_told_so_and_never_with_a_traceback(module):
    """-S: nothing but the standard library and this folder."""
    for arguments in (WITHOUT_PACKAGES[module], ("--help",)):
        command = [sys.executable, "-E", "-S", "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if arguments == ("--help",) and done.returncode == 0:
            continue
        assert done.returncode == BAD_INPUT, done.stderr
        assert done.stderr.startswith("error: this Python has no "), done.stderr
        assert "fix:   run it with nox's Python: .nox/kit-" in done.stderr


@pytest.mark.parametrize("what", ["images", "weights", "expected"])
def test_so_is_one_that_is_to_make_golden_files(what):
    command = [sys.executable, "-E", "-S", "-m", "tests.golden", "--make", what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == BAD_INPUT, done.stderr
    assert done.stderr.startswith("error: this Python has no "), done.stderr


def test_every_package_that_can_be_run_is_asked():
    folders = {ROOT / name.partition(".")[0] for name in MODULES}
    found = {path.parent.relative_to(ROOT) for folder in folders for path in folder.rglob("__main__.py")}
    assert {".".join(path.parts) for path in found} == set(MODULES)


def test_every_module_that_a_session_runs_is_asked():
    text = (ROOT / "noxfile.py").read_text()
    ours = {name.split(".")[0] for name in MODULES}
    run = {name for name in re.findall(r'"-m",\s*"([\w.]+)"', text) if name.split(".")[0] in ours}
    assert run
    assert run <= set(MODULES)
