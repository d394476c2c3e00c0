import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.local.offline import memory_group, sandbox
from kit.local.offline.processes import state

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


def run(folders, code: str, *arguments: str, seconds: float = 600, memory: int | None = None):
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
    for seconds in (1.0, 5.0, 50.0):  # a busy machine needs longer to start it
        ran, _ = run(folders, code, seconds=seconds)
        assert ran.code is None
        if ran.text:
            break
    assert ran.text == "started\n"


KILLED = """
import sys
from pathlib import Path
from kit.local.offline import sandbox
code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
folder = Path(sys.argv[1])
sandbox.run([sys.executable, "-c", code], read_only=[], cwd=folder, environment={}, seconds=600)
"""


def test_what_it_started_goes_when_it_is_killed_itself(folders):
    pid = folders[1] / "pid"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(folders[1])]) as process:
        while not (pid.is_file() and pid.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    place = Path(f"/proc/{pid.read_text()}")
    while place.is_dir() and state(int(place.name)) != "Z":
        time.sleep(0.05)


HOLDING = """
import subprocess, sys
own = "import sys; x = bytearray(150 << 20); x[::4096] = b'x' * len(x[::4096]); print(1, flush=True)"
own += "; sys.stdin.read()"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
workers = [subprocess.Popen([sys.executable, "-c", own], **pipes) for _ in range(4)]
print(sum(len(worker.stdout.readline()) > 0 for worker in workers), "had their memory", flush=True)
[worker.kill() for worker in workers]
"""
LEAVING = """
import subprocess, sys
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.Popen(["sleep", "600"], start_new_session=True, **quiet)
"""


@pytest.fixture
def group():
    """Skip where no control group can be made; return one that is removed."""
    made, reason = memory_group.make(256 << 20)
    if made is None:
        pytest.skip(reason)
    yield made
    assert made.remove() is None
    assert not made.folder.exists()


def test_all_processes_together_share_the_memory(folders, group):
    assert group.remove() is None
    ran, enforced = run(folders, HOLDING, memory=400 << 20)
    had = int(ran.text.split()[0]) if ran.code == 0 else 0
    assert had < 4, "four times 150 MB are more than 400 MB"
    assert enforced.limited == "all processes together"
    assert enforced.killed > 0
    assert enforced.missing == ([] if enforced.network else enforced.missing[:1])
    assert not group.folder.exists()


def test_a_group_lets_pass_what_fits_and_ends_what_was_left_running(folders, group):
    assert group.remove() is None
    ran, enforced = run(folders, LEAVING, memory=400 << 20)
    assert (ran.code, enforced.killed) == (0, 0)
    assert not group.folder.exists(), "the group can be removed only when the sleeping process has ended"


def test_the_group_of_a_rehearsal_that_was_killed_is_removed_by_the_next(group):
    left = group.folder.with_name("rehearsal-0")
    left.mkdir()
    memory_group.make(256 << 20)
    assert not left.exists()


def test_where_no_group_can_be_made_each_process_is_capped_and_the_reason_is_told(
    folders, monkeypatch, tmp_path
):
    monkeypatch.setattr(memory_group, "_OWN_GROUPS", tmp_path / "absent")
    ran, enforced = run(folders, "x = bytearray(1 << 30)", memory=256 << 20)
    assert ran.code == 1
    assert "MemoryError" in ran.text
    assert (enforced.memory, enforced.limited, enforced.killed) == (256 << 20, "each process", None)
    reason = (
        "the memory limit holds for each process, not for all together: this system has no control groups"
    )
    assert any(text.startswith(reason) for text in enforced.missing)


def test_groups_of_both_versions_are_found_below_their_mounts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_group, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory_group, "_MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "cgroup").write_text("9:name=systemd:/\n4:cpu,memory:/docker/7/me\n0::/user/me\n")
    (tmp_path / "mountinfo").write_text(
        "36 25 0:31 / /sys/fs/cgroup/cpu rw,nosuid shared:15 - cgroup cgroup rw,cpuset\n"
        "37 25 0:32 /docker/7 /sys/fs/cgroup/memory rw shared:16 - cgroup cgroup rw,cpu,memory\n"
        "38 25 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "22 1 8:1 / / rw - ext4 /dev/root rw\n"
    )
    assert [(str(place), version) for place, version in memory_group._places()] == [
        ("/sys/fs/cgroup/memory/me", 1),
        ("/sys/fs/cgroup/unified/user/me", 2),
        ("/sys/fs/cgroup/unified/user", 2),
    ]


def test_a_place_that_takes_a_limit_and_does_not_keep_it_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_group, "_places", lambda: iter([(tmp_path, 2)]))
    monkeypatch.setattr(memory_group, "_PATIENCE", 0.1)
    assert memory_group.make(1 << 30) == (None, f"{tmp_path}: the limit is taken but not kept")


def test_exit_codes_come_through(folders):
    assert run(folders, "raise SystemExit(2)")[0].code == 2
