"""The ways to a library. docker is a program of ours that notes what it is asked and does it here."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.__main__ import main
from bundle.native import ways
from bundle.native.compile_program import RESULT
from kit.artefacts import sha256_file
from kit.errors import BAD_INPUT, KitError
from kit.local import targets
from kit.local.kaggle.waiting import Waiting, open_wire
from kit.local.program import run_cli
from tests.bundle.native.orders import HERE, small
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import World

(TARGET,) = targets.choose(["kaggle-2026-10-cpu"], targets.known())
IMAGE = "host/kaggle-images/python@sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def compiler():
    for tool in ("c++", "ninja"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")


def is_there(order, folder):
    told = json.loads((folder / RESULT).read_text())
    library = folder / f"{order.variant.module}.so"
    assert (told["order"], told["sha256"]) == (order.identity, sha256_file(library))
    load = f"spec_from_file_location({order.variant.module!r}, {str(library)!r})"
    check = f"import importlib.util as util; util.module_from_spec(util.{load})"
    subprocess.run([sys.executable, "-c", check], check=True)
    assert str(folder).encode() not in library.read_bytes()
    return told


# --- this machine ---


def test_this_machine_compiles_what_is_for_it(tmp_path):
    order = small()
    assert ways.here(order, tmp_path, tmp_path / "log") is None
    told = is_there(order, tmp_path)
    assert (told["tag"], told["torch"], told["cuda"]) == (HERE.tag, HERE.torch, None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tag": "cp399"}, f"this Python is {HERE.tag}"),
        ({"torch": "1.0"}, f"the torch here is {HERE.torch}"),
        ({"cuda": "9.9", "archs": ("7.5",)}, "not 9.9"),
    ],
)
def test_this_machine_says_how_it_differs(tmp_path, change, told):
    reason = ways.here(small(replace(HERE, **change)), tmp_path, tmp_path / "log")
    assert told in reason
    assert not (tmp_path / RESULT).exists()


def test_sources_that_do_not_compile_are_an_error_with_the_log(tmp_path):
    with pytest.raises(KitError, match="mmcv's operators could not be compiled") as refused:
        ways.here(small(source="this is no C++"), tmp_path, tmp_path / "log")
    assert "error:" in refused.value.problem
    assert "this is no C++" in Path(refused.value.where).read_text()


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no c++" in ways.here(small(), tmp_path, tmp_path / "log")


# --- docker ---

DOCKER = """#!{python}
import json, os, subprocess, sys
from pathlib import Path
asked = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(asked) + "\\n")
if asked[0] in {fails!r}:
    sys.exit("error: " + asked[0] + " is refused")
if asked[:2] == ["image", "inspect"]:
    sys.exit(0 if {there!r} else 1)
if asked[0] == "run":
    mount = asked[asked.index("--volume") + 1].rpartition(":")[0]
    inner = asked[asked.index({image!r}) + 1:]
    inner = [mount + part[len("/order"):] if part.startswith("/order") else part for part in inner]
    sys.exit(subprocess.run([{python!r}, *inner]).returncode)
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a docker on PATH; returns a function that reads what it was asked."""

    def make(*, there=True, fails=(), image=IMAGE):
        folder = tmp_path / "bin"
        folder.mkdir()
        log = tmp_path / "asked"
        text = DOCKER.format(python=sys.executable, log=str(log), fails=fails, there=there, image=image)
        (folder / "docker").write_text(text)
        (folder / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        return lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return make


def in_docker(order, tmp_path, image=IMAGE, registry=None):
    folder = tmp_path / "made"
    folder.mkdir()
    log = tmp_path / "log"
    return ways.docker(order, replace(TARGET, image=image), folder, log, registry=registry), folder


@pytest.mark.parametrize("there", [True, False])
def test_a_container_compiles_and_is_pulled_only_if_it_is_not_there(docker, tmp_path, there):
    asked = docker(there=there)
    order = small()
    reason, folder = in_docker(order, tmp_path)
    assert reason is None
    is_there(order, folder)
    commands = asked()
    assert [command[0] for command in commands] == ["version", "image", *([] if there else ["pull"]), "run"]
    assert commands[1] == ["image", "inspect", IMAGE]
    run = commands[-1]
    assert "--rm" in run
    assert run[run.index("--entrypoint") + 1] == "python3"
    assert run[run.index(IMAGE) + 1 :][:2] == ["-P", "/order/program.py"]


def test_a_registry_stands_before_the_image(docker, tmp_path):
    asked = docker(image=f"registry.example/{IMAGE}")
    assert in_docker(small(), tmp_path, registry="registry.example")[0] is None
    assert asked()[1][-1] == f"registry.example/{IMAGE}"


@pytest.mark.parametrize(
    ("settings", "image", "told"),
    [
        ({}, None, "its container is not known"),
        ({"fails": ["version"]}, IMAGE, "no docker engine answers"),
        ({"there": False, "fails": ["pull"]}, IMAGE, "cannot be pulled (error: pull is refused)"),
    ],
)
def test_docker_that_cannot_says_why(docker, tmp_path, settings, image, told):
    docker(**settings)
    reason, folder = in_docker(small(), tmp_path, image=image)
    assert told in reason
    assert not (folder / RESULT).exists()


def test_a_container_of_another_torch_compiles_nothing(docker, tmp_path):
    docker()
    reason, _ = in_docker(small(replace(HERE, torch="1.0")), tmp_path)
    assert reason == f"torch is {HERE.torch}, not 1.0"


def test_without_docker_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert in_docker(small(), tmp_path)[0] == "there is no docker"


# --- Kaggle ---


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """A Kaggle whose kernels run in this Python."""

    def session(text, request):
        folder = tmp_path / "session"
        folder.mkdir(exist_ok=True)
        (folder / "script.py").write_text(text)
        done = subprocess.run(
            [sys.executable, "-P", "script.py", "--out", "."],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "script.py"}
        return Run(files, done.stdout.splitlines(), "ERROR" if done.returncode else "COMPLETE")

    with Server(World()) as server:
        server.world.rooms["run"] = session
        (tmp_path / "home").mkdir()
        for name in REMOVED:
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        yield server


def on_kaggle(order, target, folder):
    folder.mkdir()
    with open_wire(Waiting(patience=1, poll=0.05)) as wire:
        lines = []
        ways.kernel(order, target, folder, wire=wire, owner="alice", state=folder / "state", say=lines.append)
        return lines


def test_a_kernel_compiles_with_internet_in_the_targets_container(kaggle, tmp_path):
    order = small()
    lines = on_kaggle(order, replace(TARGET, image=IMAGE), tmp_path / "made")
    is_there(order, tmp_path / "made")
    assert any(f"{RESULT}:" in line for line in lines), "the log of the run is shown"
    [notebook] = kaggle.world.notebooks.values()
    [version] = notebook.versions
    asked = version.request
    assert (asked["enableInternet"], asked["isPrivate"], asked["dockerImage"]) == (True, True, IMAGE)
    assert asked["enableGpu"] is False


def test_a_session_of_another_torch_compiles_nothing_and_says_what_it_has(kaggle, tmp_path):
    order = small(replace(HERE, torch="1.0"))
    with pytest.raises(KitError, match=f"torch is {HERE.torch}, not 1.0") as refused:
        on_kaggle(order, TARGET, tmp_path / "made")
    assert "probe Kaggle's present image" in refused.value.fix


def test_the_verb_orders_from_kaggle_and_tells_what_the_session_is_not(kaggle, mmcv_sdist, tmp_path, capfd):
    """The image's Python is not this one, so that no minute is spent on compiling."""
    other = "kaggle-2026-10-cpu" if HERE.tag != "cp313" else "local-cp311"
    command = ["native", "--target", other, "--way", "kernel", "--cache", str(tmp_path / "cache")]
    command += ["--state", str(tmp_path / "state"), "--patience", "1", "--poll", "0.05"]
    (tmp_path / "cache").mkdir()
    shutil.copy(mmcv_sdist, tmp_path / "cache")
    assert run_cli(main, command) == BAD_INPUT
    told = capfd.readouterr().err
    assert "the session on Kaggle is not Python 3.1" in told
    assert f"tag is {HERE.tag}, not cp31" in told
