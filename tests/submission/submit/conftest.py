"""A loopback Kaggle with a verified bundle, and `submission submit` against it."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from kit.artefacts import sha256_file
from kit.errors import run_cli
from submission.__main__ import main
from tests.kaggle_server.competitions import Competition
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import Dataset, Version, World

SLUG = "hubmap-kidney-segmentation"
ROOT = Path(__file__).parents[3]
QUICK = ("--patience", "1", "--poll", "0.05", "--limit", "300")


@pytest.fixture
def kaggle(tmp_path, monkeypatch, kit_of_two, good_run, capfd):
    """Start a Kaggle that has the bundle, and whose runs end as `good_run` did."""
    opened = ExitStack()

    def start(*faults):
        server = opened.enter_context(Server(World(faults=Faults(*faults))))
        (tmp_path / "home").mkdir(exist_ok=True)
        for name in REMOVED:
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        weights, world = kit_of_two.weights, server.world
        name = f"alice/{weights.name}"
        dataset = Dataset("alice", weights.name, "weights", private=True, licence="other")
        files = {path.name: path.read_bytes() for path in weights.iterdir()}
        dataset.versions.append(Version(1, "first", files))
        world.datasets[name] = dataset
        world.rooms["competitions"] = {SLUG: Competition()}
        files = {path.name: path.read_bytes() for path in good_run.output.glob("*.*") if path.is_file()}
        world.rooms["run"] = lambda *_: Run(dict(files), ["[     0.1 s] begun", "[     9.9 s] done"])
        state = tmp_path / "dist" / "kaggle"
        state.mkdir(parents=True, exist_ok=True)
        verified = {
            "schema": 1,
            "kind": "dataset",
            "id": name,
            "stage": "verified",
            "version": 1,
            "fingerprint": sha256_file(weights / "manifest.json"),
            "times": {"verified": "2026-11-29T05:00:00Z"},
        }
        (state / f"alice.{weights.name}.json").write_text(json.dumps(verified))
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
        own = ("--predict", kit_of_two.script, "--state", state, "--accelerator", "cpu", *QUICK, *more)
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
