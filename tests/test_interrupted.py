"""Ctrl-C in real commands, sent as a terminal sends it: to all processes at once. Within seconds they end."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kit.local.program import INTERRUPTED
from tests.documented.tree import nox

ROOT = Path(__file__).parents[1]
SECONDS = 300.0
"""Far more than an end takes, on a machine that is busy."""


def interrupted(command, until, *, more=0.3, cwd=ROOT, env=None):
    """Start a command, send SIGINT soon after `until(process)` holds; return its code and what it said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            end = time.monotonic() + SECONDS
            while not until(process) and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(more)
            assert process.poll() is None, process.communicate()
            os.killpg(process.pid, signal.SIGINT)
            out, said = process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, said


def told(said):
    """The last line on stderr; there is no traceback, and none of a helper process."""
    assert "Traceback" not in said, said
    assert "KeyboardInterrupt" not in said, said
    return said.splitlines()[-1]


def has_helpers(process):
    """Whether it has started another process beside the one that multiprocessing itself needs."""
    return helpers_of(process.pid) >= 2


def helpers_of(pid):
    try:
        return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except OSError:  # it has ended
        return 0


def session_has_helpers(data):
    """Whether the command of a session, which names this folder, has."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "-m train_local" in line and data in line and helpers_of(path.parent.name) >= 2:
            return True
    return False


def python(*words):
    return [sys.executable, "-m", *map(str, words)]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "kidney"
    command = python("train_local", "prepare", "kidney", "--data", "sample/kidney", "--out", out, "--tiny")
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return out


@pytest.mark.parametrize("more", [0.0, 0.2, 0.5])
def test_a_preparation_with_helper_processes(tmp_path, more):
    command = python(
        "train_local", "prepare", "vasculature", "--data", "sample/vasculature", "--out", tmp_path / "out",
        "--jobs", 2,
    )  # fmt: skip
    code, out, said = interrupted(command, has_helpers, more=more)
    assert (code, out) == (INTERRUPTED, "")
    assert told(said) == f"stopped; arrays that are whole are kept; to go on: {shlex.join(command)}"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_that_the_same_command_goes_on_with(tmp_path, prepared, workers):
    command = python(
        "train_local", "train", "unet-regnety16", "--prepared", prepared, "--out", tmp_path, "--tiny",
        "--workers", workers, "--checkpoint-seconds", 0,
    )  # fmt: skip
    code, _, said = interrupted(command, lambda _: list(tmp_path.rglob("checkpoint*")))
    assert code == INTERRUPTED
    assert told(said).endswith(f"checkpoint of each training is kept; to go on: {shlex.join(command)}")
    done = subprocess.run(
        [*command, "--max-seconds", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "goes on" in done.stderr or "step" in done.stderr, done.stderr


@pytest.mark.slow
def test_the_whole_graph_with_its_jobs(tmp_path, prepared):
    command = python(
        "train_local", "train-all", "--prepared", prepared, "--out", tmp_path, "--tiny", "--jobs", 2,
        "--only", "unet-regnety16-tiny",
    )  # fmt: skip
    code, _, said = interrupted(command, lambda _: list(tmp_path.rglob("status.json")))
    assert code == INTERRUPTED
    assert told(said).startswith(
        "stopped; jobs that are done and the last checkpoint of each training are kept"
    )


def test_a_download_that_hangs(tmp_path):
    """The server accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = threading.Event()

        def take():
            connection, _ = server.accept()
            taken.set()
            with connection:
                connection.settimeout(SECONDS)
                while connection.recv(1024):
                    pass

        thread = threading.Thread(target=take)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/file.pth"
        command = python("kit.models", "fetch", "mit_b0", "--out", tmp_path, "--url", address)
        code, _, said = interrupted(command, lambda _: taken.is_set())
        thread.join(SECONDS)
    assert code == INTERRUPTED
    assert told(said) == f"stopped; the bytes that have come are kept; to go on: {shlex.join(command)}"


def test_a_session_of_nox_tells_its_own_command_line(tmp_path):
    """Real nox on this checkout, with this Python in place of the environment that nox would make."""
    # nox calls its folder of an environment after the Python that nox itself runs on.
    start = nox()
    own = start[0] if start[1:] else Path(start[0]).read_text().splitlines()[0].removeprefix("#!")
    for path in ROOT.iterdir():
        if path.name not in {".nox", "work", "runs", "dist", "build", ".git"}:
            (tmp_path / path.name).symlink_to(path)
    # noxfile.py takes its own folder for the project's.
    (tmp_path / "noxfile.py").unlink()
    shutil.copy(ROOT / "noxfile.py", tmp_path)
    ask = "import sys; print(sys.implementation.cache_tag)"
    tag = subprocess.run([own, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    environment = tmp_path / ".nox" / f"kit-{tag}"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (environment / "bin" / "python").chmod(0o755)
    stamp = (
        "from pathlib import Path; "
        "from kit.local.environment_stamps import lock_identity, own_wheels_identity; "
        f"root = Path({str(tmp_path)!r}); here = Path({str(environment)!r}); "
        "(here / 'made-from').write_text(lock_identity(root, ['requirements.lock'])); "
        "(here / 'own-wheels-from').write_text(own_wheels_identity(root))"
    )
    subprocess.run([own, "-c", stamp], cwd=tmp_path, check=True)
    data = str(tmp_path / "sample" / "vasculature")
    words = ["-s", "prepare", "--", "vasculature", "--data", data, "--jobs", "2"]
    code, out, said = interrupted(
        [*start, *words], lambda _: session_has_helpers(data), cwd=tmp_path
    )  # fmt: skip
    # A session's command has its stderr on nox's stdout.
    assert code == INTERRUPTED
    assert "Traceback" not in out + said, said
    [line] = [line for line in out.splitlines() if line.startswith("stopped; ")]
    typed = "python -m nox" if start[1:] else "nox"
    assert line == f"stopped; arrays that are whole are kept; to go on: {typed} {shlex.join(words)}"


def processes():
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return found


def test_what_runs_in_the_sandbox_of_a_rehearsal(tmp_path):
    """It has a session of its own, so that a terminal's signal does not reach it."""
    marker = "600.0" + str(os.getpid())
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from kit.local.offline import sandbox\n"
        "from kit.local.program import run_cli\n"
        "here = Path(sys.argv[1])\n"
        f"command = ['/bin/sh', '-c', 'sleep {marker} & sleep {marker}']\n"
        "how = {'read_only': [], 'cwd': here, 'environment': dict(os.environ), 'seconds': 600}\n"
        "run = lambda _: sandbox.run(command, **how)\n"
        "sys.exit(run_cli(run))\n"
    )
    started = f"sleep {marker}"
    code, _, said = interrupted(
        [sys.executable, str(script), str(tmp_path)],
        lambda _: sum(line.startswith(started) for line in processes()) == 2,
    )
    assert code == INTERRUPTED
    assert told(said).startswith("stopped; ")
    end = time.monotonic() + SECONDS
    while any(line.startswith(started) for line in processes()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(line.startswith(started) for line in processes())
