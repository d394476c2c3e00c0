"""A build that never ends, and one whose output is followed."""

import os
import sys
import time
from pathlib import Path

import pytest

from bundle.foreign import building
from kit.errors import KitError

WAITS = """
import os, subprocess, sys, time
print("the backend begins", flush=True)
child = subprocess.Popen(["sleep", "600"])
with open("../child", "w") as file:
    file.write(str(child.pid))
time.sleep(600)
"""


def running(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def ends(pid, within=20.0):
    """Whether a process that was sent a signal ends; on a busy machine that takes a moment."""
    until = time.monotonic() + within
    while running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not running(pid)


def test_a_build_that_waits_for_ever_is_ended_with_all_it_started(project, tmp_path):
    (project / "backend.py").write_text(WAITS)
    log = tmp_path / "build.log"
    with pytest.raises(KitError, match="folder x: the build said nothing for 15 s and was ended") as refused:
        building.build(project, sys.executable, tmp_path / "out", log=log, title="folder x", silence=15.0)
    assert "the backend begins" in refused.value.problem
    assert refused.value.where == str(log)
    assert "the backend begins" in log.read_text()
    assert ends(int((tmp_path / "child").read_text()))
