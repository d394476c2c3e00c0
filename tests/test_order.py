import pytest

from tests.order import slow_ones_first

# Two files of slow tests, two files with one among others, and one file without any.
TESTS = [
    "a/s1",
    "a/s2",
    "b/s1",
    "b/1",
    "b/2",
    "c/1",
    "c/2",
    "c/3",
    "c/4",
    "c/5",
    "d/1",
    "d/s1",
    "d/2",
    "d/s2",
]


def ordered(tests, processes):
    return slow_ones_first(
        tests, processes, is_slow=lambda test: "s" in test, group=lambda test: test.partition("/")[0]
    )


def test_one_process_begins_with_the_slow_ones():
    assert ordered(TESTS, 1)[:5] == ["a/s1", "a/s2", "b/s1", "d/s1", "d/s2"]


def test_each_process_begins_with_the_slow_tests_of_other_files():
    order = ordered(TESTS, 3)
    # pytest-xdist gives the first process 4 of 14 tests, the others 5.
    assert order[:4] == ["a/s1", "a/s2", "b/1", "b/2"]
    assert order[4:9] == ["b/s1", "c/1", "c/2", "c/3", "c/4"]
    assert order[9:] == ["d/s1", "d/s2", "c/5", "d/1", "d/2"]


def test_what_several_files_share_is_made_in_one_process():
    order = slow_ones_first(
        ["a/1", "b/1", "c/1", "d/1"], 2, is_slow=lambda _: True, group=lambda test: test in ("a/1", "d/1")
    )
    assert order == ["a/1", "d/1", "b/1", "c/1"]


@pytest.mark.parametrize("processes", [1, 2, 5, 40])
@pytest.mark.parametrize("tests", [TESTS, TESTS[:3], TESTS[5:10], []])
def test_every_test_runs_once(tests, processes):
    assert sorted(ordered(tests, processes)) == sorted(tests)
