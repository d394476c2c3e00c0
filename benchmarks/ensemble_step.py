"""One ensemble step in a process of its own: JSON request on stdin, JSON answer as the last line of stdout.

Imports stand in the function: processes that help start by importing this module, and need no torch.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Write the data, build an ensemble of it, and print seconds, peak memory and the rungs."""
    from benchmarks import child
    from benchmarks.ensemble_data import Size, write
    from train_local.ensemble.build import build_ensemble, shown

    request = json.load(sys.stdin)
    folder, processes = Path(request["folder"]), request["processes"]
    data, runs = write(folder, Size(request["slides"], request["side"], request["distinct"]))
    child.forget_peak()
    began, before = time.perf_counter(), _cpu_seconds()
    built = build_ensemble(data, runs, processes=processes)
    seconds, spent = time.perf_counter() - began, _cpu_seconds() - before
    # Not more than this: the largest helper is counted for each of them, at the peak of this process.
    helper = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    rungs = []
    for number, item in enumerate(built.ladder.rungs):
        values = [shown(value) for value in (item.rung.cv, item.fitted, item.static)]
        cost = f"{item.rung.passes} passes, {item.seconds:.1f} s per megapixel"
        scores = "unseen {}, fitted {}, static weighting {}".format(*values)
        rungs.append([f"rung {number}: {item.added}", f"{cost}, {scores}"])
    answer = {
        "seconds": seconds,
        "cpu_seconds": spent,
        "peak_bytes": child.peak_bytes() + processes * helper,
        "rungs": rungs,
    }
    print(json.dumps(answer))


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
