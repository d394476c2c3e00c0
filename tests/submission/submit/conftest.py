"""A loopback Kaggle with a verified bundle, and `submission submit` against it."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from kit.local.program import run_cli
from submission.__main__ import main
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.submitting import SLUG, Made, files_of, place
from tests.kaggle_server.world import World

ROOT = Path(__file__).parents[3]
QUICK = ("--patience", "1", "--poll", "0.05", "--limit", "300")


@pytest.fixture
def made(kit_of_two, good_run):
    """A predict.py, its dataset and the output of a run."""
    return Made(kit_of_two.script, kit_of_two.weights, files_of(good_run.output))


@pytest.fixture
def kaggle(tmp_path, monkeypatch, made, capfd):
    """Start a Kaggle that has the bundle, and whose runs end as `good_run` did."""
    opened = ExitStack()

    def start(*faults):
        server = opened.enter_context(Server(World(faults=Faults(*faults))))
        (tmp_path / "home").mkdir(exist_ok=True)
        for name in REMOVED:
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        world, state = server.world, tmp_path / "dist" / "kaggle"
        dataset = place(world, made, state)
        return SimpleNamespace(
            world=world,
            faults=world.faults,
            state=state,
            dataset=dataset,
            log=tmp_path / "dist" / "submissions.jsonl",
            competition=world.rooms["competitions"][SLUG],
            submit=submit,
            start=process,
        )

    def arguments(*more):
        state = tmp_path / "dist" / "kaggle"
        own = ("--predict", made.script, "--state", state, "--accelerator", "cpu", *QUICK, *more)
        return ["submit", *map(str, own)]

    def submit(*more, argv=None):
        capfd.readouterr()
        code = run_cli(main, argv or arguments(*more))
        return SimpleNamespace(code=code, **capfd.readouterr()._asdict())

    def process(*more):
        """The same in a process that can be killed."""
        command = [sys.executable, "-m", "submission", *arguments(*more)]
        return subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    with opened:
        yield start
