"""A stopwatch with names: what the wall time of a measurement consists of."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Add up the time that is spent under each name.

    Attributes:
        seconds: name -> sum of its spans.
        spans: name -> number of its spans.
    """

    # Example: names may lie inside each other, so their seconds don't add up to the wall time.
    #
    #     with clock("wall"):             # wall    |------------------|   5 s
    #         with clock("read"):         # read    |---|   |---|          2 s in two spans
    #         with clock("network"):      # network     |---|   |------|   3 s in two spans
    #         ...

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.spans: dict[str, int] = defaultdict(int)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the time inside the `with` block under a name; spans of one name must not overlap."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began
            self.spans[name] += 1
