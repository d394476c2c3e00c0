"""Helper processes do their work, never see Ctrl-C, and end when they are told to."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.local.pool import Pool

ROOT = Path(__file__).parents[3]


def blocked():
    """Whether this process sees Ctrl-C."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def slow(seconds):
    """Work that nobody waits for."""
    time.sleep(seconds)


def wrong():
    """Raise an error in the helper."""
    raise ValueError("of the helper")


def test_functions_are_called_elsewhere_and_errors_come_back():
    pool = Pool(2)
    try:
        assert pool.submit(pow, 2, 5).result() == 32
        assert pool.submit(os.getpid).result() != os.getpid()
        assert pool.submit(blocked).result() is True
        with pytest.raises(ValueError, match="of the helper"):
            pool.submit(wrong).result()
    finally:
        pool.end()
    assert not blocked(), "this process sees Ctrl-C as before"


def test_what_runs_is_killed_at_once():
    pool = Pool(1)
    pool.submit(os.getpid).result()
    waiting = [pool.submit(slow, 600.0) for _ in range(3)]
    pool.end(at_once=True)
    assert all(future.done() or future.cancelled() for future in waiting)
    assert multiprocessing.active_children() == []


def test_a_signal_in_the_block_comes_after_it():
    # In a process of its own: a thread that a library left in this one would take the signal.
    script = (
        "import os, signal\n"
        "from kit.local.pool import unseen_by_children\n"
        "try:\n"
        "    with unseen_by_children():\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        print('the end of the block')\n"
        "    print('after the block')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "the end of the block\ninterrupted\n"
