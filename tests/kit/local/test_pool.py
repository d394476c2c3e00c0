"""Helper processes do their work, never see Ctrl-C, and end when they are told to."""

import multiprocessing
import os
import signal
import time

import pytest

from kit.local.pool import Pool, unseen_by_children


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
    reached = []

    def block():
        with unseen_by_children():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end of the block")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached
