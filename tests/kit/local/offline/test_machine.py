"""The sandbox's machine: disks of limited size, cores, a slower one, no stdout, and difficult mounts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.local.offline import sandbox
from kit.local.offline.file_server import Mount
from kit.local.offline.processes import Pacer, descendants, kill_all, state
from kit.local.offline.sandbox import Limit, Machine

ENVIRONMENT = {"PATH": os.environ["PATH"]}
CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def stage(tmp_path):
    for name in ("input", "working", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "input" / "deep").mkdir()
    (tmp_path / "input" / "deep" / "image").write_bytes(CONTENT)
    (tmp_path / "input" / "link").symlink_to("deep/image")
    return tmp_path


@pytest.fixture
def run(stage):
    """Run lines of Python on a machine; skip where namespaces are not allowed."""

    def run(code: str, machine: Machine, *, namespaces: bool = True):
        works, reason = sandbox.possible(stage / "working")
        if namespaces and not works:
            pytest.skip(reason)
        return sandbox.run(
            [sys.executable, "-c", code, str(stage)],
            read_only=[stage / "input"],
            cwd=stage / "working",
            environment=ENVIRONMENT,
            seconds=600,
            machine=machine,
        )

    return run


FILLING = """
import errno, pathlib, sys
stage = pathlib.Path(sys.argv[1])
(stage / "working" / "small").write_text("kept")
for name in ("working", "scratch"):
    try:
        (stage / name / "large").write_bytes(bytes(3 << 20))
    except OSError as error:
        print(name, errno.errorcode[error.errno])
try:
    pathlib.Path("/tmp/theirs").write_text("x")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def test_a_disk_takes_no_more_than_its_size_and_the_output_is_kept(run, stage):
    disks = (
        Limit("working", stage / "working", 1 << 20, keep=True),
        Limit("scratch", stage / "scratch", 2 << 20, keep=False),
    )
    ran, enforced = run(FILLING, Machine(disks=disks))
    assert ran.text.splitlines() == ["working ENOSPC", "scratch ENOSPC", "EROFS"]
    assert (sandbox.contents(disks[0]) / "small").read_text() == "kept"
    assert list((stage / "working").iterdir()) == [], "the file system went with the namespace"
    assert [disk["refused"] for disk in enforced.disks.values()] == [True, True]
    assert enforced.overfull == []


def test_a_disk_too_large_for_memory_is_watched(run, stage):
    disk = Limit("scratch", stage / "scratch", 1 << 50, keep=False)
    code = "import sys, time; open(sys.argv[1] + '/scratch/x', 'wb').write(bytes(1 << 20)); time.sleep(2.5)"
    _, enforced = run(code, Machine(disks=(disk,)), namespaces=False)
    assert enforced.disks["scratch"] == {"size": 1 << 50, "most": 1 << 20, "refused": False}
    assert any("of the scratch disk are watched, not enforced" in text for text in enforced.missing)


def test_only_so_many_cores_are_seen_and_too_few_are_told(run):
    code = "import os; print(len(os.sched_getaffinity(0)))"
    there = len(os.sched_getaffinity(0))
    ran, enforced = run(code, Machine(cores=1), namespaces=False)
    assert (ran.text, enforced.cores) == ("1\n", 1)
    ran, enforced = run(code, Machine(cores=there + 2), namespaces=False)
    assert ran.text == f"{there}\n"
    assert f"{there + 2} cores are asked for, and this machine has {there}" in enforced.missing


def test_a_slower_machine_lets_processes_stand_still(run):
    code = """
import time
until = time.monotonic() + 2
longest = last = 0
while (now := time.monotonic()) < until:
    longest, last = max(longest, now - (last or now)), now
print(longest > 0.02)
"""
    ran, enforced = run(code, Machine(slow_down=4), namespaces=False)
    assert (ran.text, enforced.slow_down) == ("True\n", 4)


def test_what_stood_still_before_stays_so_and_all_others_go_on():
    code = "import subprocess; [p.wait() for p in [subprocess.Popen(['sleep', '600']) for _ in range(2)]]"
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        while len(children := descendants(parent.pid)) < 2:
            time.sleep(0.01)
        hung, lives = children
        os.kill(hung, signal.SIGSTOP)
        while state(hung) != "T":
            time.sleep(0.01)
        with Pacer(parent.pid, 4):
            while state(lives) != "T":
                time.sleep(0.001)
        assert state(hung) == "T"
        assert state(lives) != "T"
    finally:
        kill_all(parent.pid)
        parent.wait()


def test_without_stdout_the_command_runs_and_only_its_errors_are_heard(run):
    code = "import sys; sys.stderr.write('heard\\n'); sys.exit(3 if sys.stdout is None else 0)"
    ran, _ = run(code, Machine(closed=True), namespaces=False)
    assert (ran.code, ran.text) == (3, "heard\n")


READING = """
import errno, mmap, os, pathlib, sys
stage = pathlib.Path(sys.argv[1]) / "input"
print(sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*")))
expected = bytes(range(256)) * 1024
handle = os.open(stage / "link", os.O_RDONLY)
print(len(os.read(handle, 100_000)))
print((stage / "deep" / "image").read_bytes() == expected)
private = mmap.mmap(handle, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
print(bytes(private) == expected)
try:
    print(bytes(mmap.mmap(handle, 0, access=mmap.ACCESS_READ)) == expected)
except OSError as error:
    print(errno.errorcode[error.errno])
try:
    (stage / "new").write_text("x")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.parametrize(
    ("mount", "read", "shared"),
    [
        (Mount(megabytes_per_s=50), 100_000, "True"),
        (Mount(longest_read=5000), 5000, "ENODEV"),
        (Mount(no_maps=True), 100_000, "ENODEV"),
    ],
    ids=["slow", "short reads", "no shared maps"],
)
def test_a_difficult_mount_has_the_same_files_and_its_difficulty(run, stage, mount, read, shared):
    if not Path("/dev/fuse").exists():
        pytest.skip("this machine has no FUSE")
    ran, enforced = run(READING, Machine(mount=mount, served=stage / "input"))
    assert ran.code == 0, ran.text
    names, *rest = ran.text.splitlines()
    assert names == "['deep', 'deep/image', 'link']"
    assert rest == [str(read), "True", "True", shared, "EROFS"]
    assert enforced.mount == str(mount)
