"""Times of several ways to do the same work, measured in turns, and the ratio of two of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def in_turns(
    steps: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Measure each step once per round.

    Args:
        steps: name of a way -> the work.
        rounds: number of rounds.
        warm_up: run one round first and drop its times: imports, compilation and page faults fall into it.

    Returns:
        Name of a way -> wall time of each round in seconds.
    """
    # Round 0 runs a b c, round 1 runs c b a, round 2 runs a b c, ... With one fixed order `b` would always
    # find the processor's caches as `a` left them, and a clock that falls as the processor heats would always
    # meet `c`.
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + warm_up):
        for name in list(steps)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            steps[name]()
            seconds[name].append(time.perf_counter() - began)
    return {name: times[int(warm_up) :] for name, times in seconds.items()}


def median_ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """Return the median over the rounds of time / other time.

    Args:
        times: of one way, one per round.
        others: of the way that the first one is compared with; rounds that only one of both took part in
            don't count.
    """
    # Why not the ratio of the medians? Two ways run side by side, and another process loads the machine now
    # and then:
    #
    #     round        1      2      3
    #     ours       2.0    5.0    2.2    median 2.2
    #     peer       4.0   10.0    9.0    median 9.0    ratio of the medians 4.1
    #     ratio      2.0    2.0    4.1                  median of the ratios 2.0
    #
    # In round 2 the load meets both ways, and the ratio stays right. In round 3 it meets the peer alone, and
    # the median drops that round. The ratio of the medians divides 9.0 s under load by 2.2 s without load.
    return statistics.median(one / other for one, other in zip(times, others, strict=False))
