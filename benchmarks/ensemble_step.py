"""One ensemble step in a process of its own: JSON request on stdin, JSON answer as the last line of stdout.

Imports stand in the function: processes that help start by importing this module, and need no torch.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.local.wording import counted


def main() -> None:
    """Write the data, build an ensemble of it, and print seconds, peak memory and the rungs."""
    from benchmarks import child, detection_data, ensemble_data
    from train_local.ensemble.build import build_ensemble, shown

    request = json.load(sys.stdin)
    folder, processes = Path(request["folder"]), request["processes"]
    if request["part"] == "maps":
        size = ensemble_data.Size(request["slides"], request["side"], request["distinct"])
        data, runs = ensemble_data.write(folder, size)
    else:
        names = ("count", "distinct", "views", "detections")
        tiles = detection_data.Tiles(**{name: request[name] for name in names})
        data, runs = detection_data.write(folder, tiles)
    child.forget_peak()
    began, before = time.perf_counter(), _cpu_seconds()
    with _peaks_of_helpers() as helpers:
        # By the seconds that the data name: FLOPs would build full-size networks, and that is not measured.
        built = build_ensemble(data, runs, cost="seconds", processes=processes)
    seconds, spent = time.perf_counter() - began, _cpu_seconds() - before
    # Not more than this: the largest helper is counted for each of them, at the peak of this process.
    helper = max(helpers.values(), default=0)
    rungs = []
    for number, item in enumerate(built.ladder.rungs, 1):
        values = [shown(value) for value in (item.rung.cv, item.fitted, item.static)]
        cost = (
            f"{counted(len(item.rung.passes), 'pass', plural='passes')}, {item.seconds:.1f} s per megapixel"
        )
        scores = "unseen {}, fitted {}, static weighting {}".format(*values)
        rungs.append([f"rung {number}: {item.added}", f"{cost}, {scores}"])
    answer = {
        "seconds": seconds,
        "cpu_seconds": spent,
        "peak_bytes": child.peak_bytes() + processes * helper,
        "rungs": rungs,
    }
    print(json.dumps(answer))


@contextmanager
def _peaks_of_helpers() -> Iterator[dict[str, int]]:
    """Yield the peak memory of each helper so far, in bytes, read twice a second.

    What getrusage says of children is of no use: a new process counts the memory of the one it was forked
    from until it starts its own program.
    """
    peaks: dict[str, int] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.5):
            for pid in Path("/proc/self/task", str(os.getpid()), "children").read_text().split():
                try:
                    lines = Path("/proc", pid, "status").read_text().splitlines()
                except OSError:
                    continue  # it has just ended
                found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
                peaks[pid] = max([peaks.get(pid, 0), *found])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
