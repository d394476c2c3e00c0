import os
import sys

import pytest

from submission import sandbox

ENVIRONMENT = {"PATH": os.environ["PATH"]}
CURIOUS = """
import pathlib, socket, sys
source = pathlib.Path(sys.argv[1])
print((source / "image").read_text())
pathlib.Path("mine").write_text("x")
try:
    (source / "new").write_text("x")
except OSError as error:
    print(error.strerror)
try:
    socket.create_connection(("192.0.2.1", 80), 2)
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def folders(tmp_path):
    made = [tmp_path / name for name in ("input", "working")]
    for folder in made:
        folder.mkdir()
    (made[0] / "image").write_text("pixels")
    return made


def run(folders, code: str, *arguments: str, seconds: float = 60, memory: int | None = None):
    source, working = folders
    return sandbox.run(
        [sys.executable, "-c", code, str(source), *arguments],
        read_only=[source],
        cwd=working,
        environment=ENVIRONMENT,
        seconds=seconds,
        memory=memory,
    )


def test_the_input_can_be_read_but_not_written_and_there_is_no_network(folders):
    ran, enforced = run(folders, CURIOUS)
    assert ran.code == 0
    if not enforced.read_only:
        pytest.skip(enforced.missing[0])
    assert ran.text.splitlines() == ["pixels", "Read-only file system", "Network is unreachable"]
    assert enforced.missing == []
    assert [path.name for path in folders[1].iterdir()] == ["mine"]
    assert [path.name for path in folders[0].iterdir()] == ["image"]


def test_where_namespaces_are_not_allowed_it_says_so_and_runs_all_the_same(folders, monkeypatch):
    refusing = folders[1].parent / "bin" / "unshare"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho unshare failed: Operation not permitted >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}{os.pathsep}{os.environ['PATH']}")
    ran, enforced = run(folders, "print('ran')")
    assert (ran.code, ran.text) == (0, "ran\n")
    assert not enforced.network
    assert not enforced.read_only
    (missing,) = enforced.missing
    assert missing.endswith("are not enforced: unshare failed: Operation not permitted")


def test_what_overruns_is_killed_with_all_it_started(folders, monkeypatch):
    monkeypatch.setattr(sandbox, "_GRACE", 0.5)
    code = "import subprocess, sys; print('started', flush=True); subprocess.run(['sleep', '600'])"
    ran, _ = run(folders, code, seconds=1.0)
    assert ran.code is None
    assert ran.text == "started\n"


def test_memory_is_capped_and_the_cap_is_explained(folders):
    ran, enforced = run(folders, "x = bytearray(1 << 30)", memory=256 << 20)
    assert ran.code == 1
    assert "MemoryError" in ran.text
    assert enforced.memory == 256 << 20
    assert "the memory limit holds for each process, not for all together" in enforced.missing


def test_exit_codes_come_through(folders):
    assert run(folders, "raise SystemExit(2)")[0].code == 2
