"""Programs look for garbage seldom; a training looks as often as Python does by itself."""

import gc
import subprocess
import sys

import pytest

from kit.local import garbage
from kit.local.program import run_cli


@pytest.fixture(autouse=True)
def as_before():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_training_looks_as_often_as_python_does():
    done = subprocess.run(
        [sys.executable, "-c", "import gc; print(gc.get_threshold()[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    garbage.look_seldom()
    assert gc.get_threshold()[0] > 3 * int(done.stdout)
    garbage.look_as_usual()
    assert gc.get_threshold()[0] <= int(done.stdout)


PROGRAM = """
import atexit, gc, sys
from kit.local.program import run_cli
atexit.register(lambda: print(gc.get_freeze_count() > 1000))
sys.exit(run_cli(lambda _: print(gc.get_threshold()[0], gc.get_freeze_count()) or 0))
"""


def test_a_program_looks_seldom_and_at_its_end_no_more():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["10000 0", "True"]


def test_a_command_inside_another_process_changes_nothing():
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    assert run_cli(lambda _: 0 if gc.get_threshold() == before else 1, []) == 0
    assert gc.get_freeze_count() == frozen
