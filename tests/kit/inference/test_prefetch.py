import threading

import pytest

from kit.inference.prefetch import Prefetch, WriteBehind


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


def test_what_is_written_behind_is_done_in_order_before_the_block_ends():
    done = []
    with WriteBehind(done.append, 2) as behind:
        for item in range(50):
            behind.put(item)
    assert done == list(range(50))


def broken(item):
    if item == 3:
        raise OSError("disk pulled")


def test_an_error_behind_stops_the_producer():
    given = []

    def produce():
        with WriteBehind(broken, 1) as behind:
            for item in range(1000):
                given.append(item)
                behind.put(item)

    with pytest.raises(OSError, match="disk pulled"):
        produce()
    assert 3 in given
    assert len(given) < 1000


def test_an_error_of_the_last_item_is_raised_when_the_block_ends():
    with pytest.raises(OSError, match="disk pulled"), WriteBehind(broken, 9) as behind:
        behind.put(3)


def test_an_error_of_the_producer_drops_what_waits_and_ends_the_thread():
    begun, done = threading.Event(), []

    def slow(item):
        begun.set()
        behind._stop.wait()
        done.append(item)

    def produce():
        with behind:
            for item in range(3):
                behind.put(item)
            begun.wait()
            raise ValueError("the producer's own")

    behind = WriteBehind(slow, 5)
    with pytest.raises(ValueError, match="the producer's own"):
        produce()
    assert done == [0]
    assert not [thread for thread in threading.enumerate() if thread.name == "writer"]
