"""`bundle probe` on a loopback Kaggle that really runs the kernel."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundle.__main__ import main
from kit.errors import BAD_INPUT
from kit.local import targets
from kit.local.program import run_cli
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import World

IMAGE = "host/kaggle-images/python@sha256:" + "a" * 64


@pytest.fixture
def probe(tmp_path, monkeypatch, capfd):
    """Probe a Kaggle whose kernels run in this Python, in an image of that name."""

    def session(text, request):
        folder = tmp_path / "session"
        folder.mkdir(exist_ok=True)
        (folder / "script.py").write_text(text)
        variables = {"KAGGLE_KERNEL_RUN_TYPE": "Batch", "KAGGLE_DOCKER_IMAGE": IMAGE, "PATH": ""}
        done = subprocess.run(
            [str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-S", "script.py"],
            cwd=folder, env=variables, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return Run({"observed.json": (folder / "observed.json").read_bytes()}, done.stdout.splitlines())

    def run(*arguments, faults=()):
        with Server(World(faults=Faults(*faults))) as server:
            server.world.rooms["run"] = session
            (tmp_path / "home").mkdir(exist_ok=True)
            for name in REMOVED:
                monkeypatch.delenv(name, raising=False)
            for name, value in server.environment(tmp_path / "home").items():
                monkeypatch.setenv(name, value)
            own = ("--state", tmp_path / "state", "--out", tmp_path / "target.json", "--patience", "1")
            own += ("--poll", "0.05")
            code = run_cli(main, ["probe", *map(str, own), *arguments])
            return SimpleNamespace(code=code, world=server.world, **capfd.readouterr()._asdict())

    return run


def test_a_session_becomes_a_target_with_its_image(probe, tmp_path):
    done = probe("--accelerator", "cpu", "--name", "seen")
    assert done.code == 0, done.err
    target = targets.load(tmp_path / "target.json")
    assert (target.name, target.accelerator, target.image) == ("seen", "cpu", IMAGE)
    assert target.tag == f"cp3{sys.version_info.minor}"
    assert json.loads(done.out)["target"] == "seen"
    assert "observed.json:" in done.err, "the log of the run is shown"
    [version] = done.world.notebooks["alice/probe-cpu"].versions
    assert (version.request["enableInternet"], version.request["isPrivate"]) == (False, True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--accelerator", "NvidiaTeslaT4"), "has no NVIDIA GPU"),
        (("--accelerator", "cpu", "--image", IMAGE.replace("a" * 64, "b" * 64)), "the session ran in host/"),
        (("--accelerator", "NvidiaTeslaP100"), "would silently get NvidiaTeslaT4"),
    ],
)
def test_another_machine_than_was_asked_for_makes_no_target(probe, tmp_path, more, words):
    done = probe(*more)
    assert (done.code, words in done.err) == (BAD_INPUT, True), done.err
    assert not (tmp_path / "target.json").exists()
