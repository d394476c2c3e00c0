"""A copy of the repository, in which commands run as a user types them in a clone."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.local.environment_stamps import is_of, lock_identity, own_wheels_identity

ROOT = Path(__file__).parents[2]
NOX = "KIT_NOX_PYTHON"
"""Variable with the Python that runs nox: `nox -s tests` sets it."""
FEWER_STEPS = {
    "train_local/recipes/vasculature.py": (r"steps = 200 if self\.demo else 40 if .* else 20", "steps = 10"),
    "train_local/recipes/unet.py": (r"iterations=240 if self\.demo else 120,", "iterations=60,"),
}
"""File -> what decides how long a tiny network trains, and what stands there in the copy."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def make_tree(folder):
    """Copy the files that git knows or would add, with fewer training steps, and the environment of nox."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # a file that was removed is still listed until the next commit
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name, (before, after) in FEWER_STEPS.items():
        text, count = re.subn(before, after, (folder / name).read_text())
        assert count == 1, name
        (folder / name).write_text(text)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    environment = Path(sys.prefix)
    if not is_of(environment / "made-from", lock_identity(ROOT, ["requirements.lock"])) or not is_of(
        environment / "own-wheels-from", own_wheels_identity(ROOT)
    ):
        pytest.fail(f"{environment} is not the environment of these sources: run `nox -s tests`")
    for cache in ("images", "wheels"):  # made once for all copies, as the sessions of one clone share them
        (ROOT / "build" / cache).mkdir(parents=True, exist_ok=True)
        (folder / "build").mkdir(exist_ok=True)
        (folder / "build" / cache).symlink_to(ROOT / "build" / cache)
    (folder / ".nox").mkdir()
    (folder / ".nox" / f"kit-{sys.implementation.cache_tag}").symlink_to(environment)


def nox():
    """The words that start nox."""
    if python := os.environ.get(NOX):
        return [python, "-m", "nox"]
    found = shutil.which("nox")
    if not found:
        pytest.fail("no nox on PATH: run `nox -s tests`, or put the environment that has nox on PATH")
    return [found]


def run(tree, words, **variables):
    """Run a documented command in a copy; `variables` replace those of this process, None removes one."""
    start = nox() if words[0] == "nox" else [sys.executable]
    # Where pytest runs in a terminal, readline writes the terminal's size into the variables.
    ours = ("PYTEST_", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}", **variables}
    done = subprocess.run(
        [*start, *words[1:]],
        cwd=tree,
        env={name: value for name, value in kept.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
