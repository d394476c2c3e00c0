"""How long to wait for Kaggle, and how often to ask again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits in seconds; the command line's `--limit` and `--patience` set them, tests take small ones.

    Attributes:
        limit: for everything that one command does.
        outage: how long calls that only read are repeated while each of them fails.
        rpc: for the answer of one call.
        stall: how long an upload or a download may stand still.
        settle: how long Kaggle's answers may contradict each other after a change.
        pending: how long a new dataset may be invisible to its owner.
        poll: between two looks at something that takes minutes.
        first: before the first repetition.
        factor: each further wait is longer by it.
        most: the longest wait between two repetitions.
    """

    limit: float = 21600
    outage: float = 900
    rpc: float = 60
    stall: float = 120
    settle: float = 60
    pending: float = 900
    poll: float = 5
    first: float = 1
    factor: float = 1.7
    most: float = 60

    @classmethod
    def of(cls, *, limit: float, settle: float, answer: float = 60, stall: float = 120) -> Patience:
        """Return the limits that follow from a few: `settle` = 60 gives the defaults of all others."""
        return cls(
            limit=limit,
            outage=15 * settle,
            rpc=answer,
            stall=stall,
            settle=settle,
            pending=15 * settle,
            poll=settle / 12,
            first=settle / 60,
            most=settle,
        )

    def waits(self, *, seed: int | None = None) -> Iterator[float]:
        """Yield the seconds before each repetition, without an end: 0.5-1 times 1, 1.7, 2.9, ... 60.

        Many wires that failed together must not come back together, so each wait is drawn at random.
        """
        draw = random.Random(seed)
        wait = self.first
        while True:
            yield wait * draw.uniform(0.5, 1)
            wait = min(wait * self.factor, self.most)
