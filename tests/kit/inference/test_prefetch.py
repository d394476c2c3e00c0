import threading

import pytest

from kit.inference.prefetch import Prefetch


def test_items_come_in_order():
    with Prefetch(iter(range(50)), 2) as items:
        assert list(items) == list(range(50))


def test_an_error_arrives_after_the_items_before_it():
    def broken():
        yield 1
        yield 2
        raise OSError("disk pulled")

    received = []
    with pytest.raises(OSError, match="disk pulled"), Prefetch(broken(), 1) as items:
        received.extend(items)
    assert received == [1, 2]


def test_leaving_early_ends_the_thread_and_closes_nothing_twice():
    endless = iter(lambda: b"item", None)
    with Prefetch(endless, 2) as items:
        assert next(iter(items)) == b"item"
    assert not [thread for thread in threading.enumerate() if thread.name == "reader"]
