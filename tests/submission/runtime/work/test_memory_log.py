import subprocess
import sys
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from submission.runtime.work.memory_log import MOST, MemoryLog
from submission.runtime.work.processes import WorkerProcess

GREEDY = "x = b'1' * 200_000_000\nprint('there', flush=True)\ninput()"


@given(st.lists(st.tuples(st.floats(0.3, 400.0), st.integers(0, 1 << 40)), min_size=1, max_size=900))
def test_a_run_of_any_length_keeps_few_points_in_their_order_and_the_largest(steps):
    log, second, given_points = MemoryLog({}), 0.0, []
    for pause, size in steps:
        second += pause
        given_points.append((second, size))
        log.add(second, size)
    kept = [*log.points.values()]
    assert 0 < len(kept) <= MOST
    assert set(kept) <= set(given_points)
    assert [second for second, _ in kept] == sorted(second for second, _ in kept)
    assert max(size for _, size in kept) == max(size for _, size in given_points)


def test_nine_hours_are_kept_in_stretches_of_some_minutes():
    log = MemoryLog({})
    for second in range(9 * 3600):
        log.add(float(second), 1000 + second % 600)
    seconds = [second for second, _ in log.points.values()]
    assert MOST / 2 < len(seconds) <= MOST
    assert max(after - before for before, after in pairwise(seconds)) <= 2 * 256


def test_the_memory_of_a_process_counts_while_it_is_there_and_its_peak_stays(tmp_path):
    values: dict[str, Any] = {}
    log = MemoryLog(values)
    with subprocess.Popen(
        [sys.executable, "-c", GREEDY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "there\n"
        log.look(0.5, [WorkerProcess(3, "cpu", 0, process, tmp_path / "log")])
        log.look(0.6, [])  # too early for another look
        process.communicate("\n")
    own = dict(values["memory_peaks"])
    assert 200_000_000 < own["worker 3"] < 300_000_000
    assert own["supervisor"] > 0
    assert values["memory"] == [(0.5, sum(own.values()))]
    log.look(7.0, [])
    (first, then) = values["memory"]
    assert first == (0.5, values["memory_peak"])
    assert then[0] == 7.0
    assert then[1] < first[1] - 150_000_000, "this process may have grown meanwhile"
    assert values["memory_peaks"]["worker 3"] == own["worker 3"]
    assert values["memory_total"] is None or values["memory_total"] > values["memory_peak"]
