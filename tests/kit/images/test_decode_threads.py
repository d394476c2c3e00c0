import threading
import time

import pytest

from kit.errors import KitError
from kit.images.decode_threads import for_each, processors


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_every_item_is_worked_on_once(threads, count):
    done = []
    for_each(done.append, range(count), threads)
    assert sorted(done) == list(range(count))


def test_several_threads_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=600)
    for_each(lambda _: meeting.wait(), range(3), 3)


@pytest.mark.parametrize("bad", [0, 3, 49])
def test_an_error_reaches_the_caller_as_it_is_and_ends_the_work(bad):
    done = []

    def work(item):
        if item == bad:
            raise KitError("strip is damaged", where="slide.tif")
        time.sleep(0.001)
        done.append(item)

    with pytest.raises(KitError) as caught:
        for_each(work, range(100_000), 3)
    assert (caught.value.problem, caught.value.where) == ("strip is damaged", "slide.tif")
    assert len(done) < 90_000  # how soon the others hear of it is up to the machine
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("slide")]


def test_there_is_at_least_one_processor():
    assert 1 <= processors() <= 8
