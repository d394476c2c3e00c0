"""What passes cost on this machine: loading a member, a fixed part for each image, a part per megapixel."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kit.ensemble import Ensemble

SHORT_RUN_RESERVE = 0.15
"""Part of the budget that the reserve takes at most, so that a rehearsal of a minute still predicts
something."""
_NOTHING_KNOWN = 0.8
"""Spread of a pass's time before any pass was measured here: a machine may be half or twice as fast."""
_OTHERS_KNOWN = 0.3
"""The same once passes of other members were measured."""
_ONE_TASK = 0.3
"""The same after one task of the member; it shrinks with the square root of their number."""
_RECENT = 10
"""Tasks that the pace is an average of."""
_LARGEST_STEP = 0.7
"""Most that one task says of the pace, as a logarithm: a task that hung is no sign of a slower machine."""
_LONG_TASK = 4.0
"""Of the expected time. A task that took longer counts as if it had taken this: it was held up once."""


def reserve_seconds(budget: float, declared: float) -> float:
    """Return the seconds kept free at the end for writing the file and ending the workers."""
    # Declared 60 s: 60 s of a budget of 3600 s, but only 15 s of a budget of 100 s.
    return min(declared, SHORT_RUN_RESERVE * budget)


def loading_seconds(loads: Sequence[float], workers: int) -> float:
    """Return the wall time that workers lose by loading members, each of which one of them takes.

    Args:
        loads: seconds of each member that is loaded.
        workers: that compute in parallel.
    """
    # Graham's bound (1969) of a list of jobs: the largest is waited for, the others are shared. Members of
    # 30, 20 and 10 s on two workers: 30 + (20 + 10) / 2 = 45 s at most. A member that is left alone is loaded
    # by all workers, which share its passes: one of 30 s takes 30 s, however many workers there are.
    largest = max(loads, default=0.0)
    return (sum(loads) - largest) / max(workers, 1) + largest


@dataclass
class Tasks:
    """Sums over finished tasks. Of a member's, seconds are divided by what the ensemble says of the pass."""

    number: int = 0
    megapixels: float = 0.0
    seconds: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    def add(self, megapixels: float, seconds: float) -> None:
        """Add a task."""
        self.number += 1
        self.megapixels += megapixels
        self.seconds += seconds
        self.squares += megapixels * megapixels
        self.products += megapixels * seconds

    def line(self) -> tuple[float, float]:
        """Return the seconds per image and per megapixel of the line through the tasks, neither negative."""
        # Images of 1 and 9 megapixels that took 3 s and 11 s: 2 s for each image and 1 s per megapixel. The
        # mean alone, 1.4 s per megapixel, would predict 14 s for ten images of 1 megapixel, which take 30 s.
        # Where all images have one size, nothing tells the parts apart: all is per megapixel.
        mean, ratio = self.megapixels / self.number, self.seconds / self.megapixels
        apart = self.squares - self.number * mean * mean
        together = self.products - mean * self.seconds
        # A few tasks of nearly one size tell little: the line stays near the mean.
        doubt = 0.05 * self.number * mean * mean
        rate = min(max((together + doubt * ratio) / (apart + doubt), 0.0), ratio)
        return max(0.0, self.seconds / self.number - rate * mean), rate


@dataclass
class Costs:
    """Seconds of every pass: the ensemble's values until this machine has its own.

    Args:
        ensemble: its passes carry the seconds measured where the ensemble was made.
    """

    ensemble: Ensemble
    _seconds: dict[int, float] = field(default_factory=dict)
    _megapixels: dict[int, float] = field(default_factory=dict)
    _members: defaultdict[int, Tasks] = field(default_factory=lambda: defaultdict(Tasks))
    _rows: Tasks = field(default_factory=Tasks)
    _loads: dict[int, float] = field(default_factory=dict)
    _pace: float = 0.0
    _paced: int = 0

    # What was measured

    def observe(self, index: int, megapixels: float, seconds: float, load: float = 0.0) -> None:
        """Add one finished task of a pass: its seconds, without those that loading its member took."""
        member = self.ensemble.passes[index].member
        if load > 0:
            self.observe_load(member, load)
        tasks = self._members[member]
        if tasks.number:
            expected = max(self.expected(index, 1, megapixels) / self.pace, 1e-9)
            step = math.log(max(seconds, 1e-9) / expected)
            self._paced += 1
            share = 1 / min(self._paced, _RECENT)
            self._pace += share * (min(max(step, -_LARGEST_STEP), _LARGEST_STEP) - self._pace)
            seconds = min(seconds, _LONG_TASK * expected)
        # A member's views differ by known ratios: at 1.25 times the resolution one costs 1.6 times as much.
        tasks.add(megapixels, seconds / self._known(index))
        self._seconds[index] = self._seconds.get(index, 0.0) + seconds
        self._megapixels[index] = self._megapixels.get(index, 0.0) + megapixels

    def observe_load(self, member: int, seconds: float) -> None:
        """Note how long a member took to load."""
        self._loads[member] = seconds

    def observe_row(self, megapixels: float, seconds: float) -> None:
        """Add a row that was made of the results of its passes."""
        self._rows.add(megapixels, seconds)

    def measured(self, index: int) -> float | None:
        """Return the seconds per megapixel of a pass in this run, None before its first task ended.

        A task that hung counts as one that took `_LONG_TASK` times as long as expected.
        """
        return self._seconds[index] / self._megapixels[index] if self._megapixels.get(index) else None

    @property
    def pace(self) -> float:
        """How many times longer the last tasks took than the ones before made expect."""
        return math.exp(self._pace)

    # What to expect

    def per_megapixel(self, index: int) -> float:
        """Return the best guess for a pass: measured, else from other views, else from the ensemble."""
        own = self.measured(index)
        if own is not None:
            return own
        member = self.ensemble.passes[index].member
        tasks = self._members.get(member)
        # Passes took 2 s here where the ensemble says 1 s: a pass of 4 s is expected to take 8 s.
        if tasks is not None:
            return tasks.seconds / tasks.megapixels * self._known(index)
        return self.ensemble.passes[index].seconds_per_megapixel * self.speed()

    def speed(self) -> float:
        """Return how many times longer passes take here than the ensemble says; 1 if nothing was measured."""
        # Sums over all passes, not a mean of ratios: a pass measured on one small image counts little.
        expected = sum(
            self.ensemble.passes[index].seconds_per_megapixel * megapixels
            for index, megapixels in self._megapixels.items()
        )
        return sum(self._seconds.values()) / expected if expected > 0 else 1.0

    def expected(self, index: int, images: float, megapixels: float) -> float:
        """Return the seconds of a pass over some images on one worker, at the pace of the last tasks."""
        tasks = self._members.get(self.ensemble.passes[index].member)
        if tasks is None:
            return self.per_megapixel(index) * megapixels * self.pace
        fixed, rate = tasks.line()
        return (fixed * images + rate * megapixels) * self._known(index) * self.pace

    def _known(self, index: int) -> float:
        """Return what the ensemble says of a pass; where it says nothing, all views cost the same."""
        return self.ensemble.passes[index].seconds_per_megapixel or 1.0

    def row_seconds(self, megapixels: float) -> float:
        """Return the seconds of making rows of some megapixels on one worker."""
        return self._rows.seconds / self._rows.megapixels * megapixels if self._rows.number else 0.0

    def load(self, member: int) -> float:
        """Return the seconds of loading a member: measured, else as fast per byte as the others."""
        if member in self._loads:
            return self._loads[member]
        sizes = self.ensemble.members
        known = sum(sizes[other].size for other in self._loads)
        return sum(self._loads.values()) * sizes[member].size / known if known else 0.0

    def spread(self, member: int) -> float:
        """Return the standard deviation of the logarithm of a member's time, from all that is known."""
        # 0.3 means: with 68 % within a factor of 1.35. After 9 tasks it is 0.1.
        tasks = self._members.get(member)
        if tasks is not None:
            return _ONE_TASK / math.sqrt(tasks.number)
        return _OTHERS_KNOWN if self._members else _NOTHING_KNOWN

    def drift(self) -> float:
        """Return the spread that all members share: it is large where the machine's pace changes."""
        return 0.04 + 0.5 * abs(self._pace)

    def seconds(self, passes: Sequence[int], megapixels: Mapping[str, float], workers: int) -> float:
        """Return the wall time of passes over images on parallel workers, and of loading their members."""
        if not megapixels or not passes:
            return 0.0
        # The work divided by the workers, but not less than the longest task. One pass of 2 s per megapixel
        # over images of 9 and 1 megapixels is 20 s of work; it takes 18 s, on 2 workers as on 8.
        largest, total = max(megapixels.values()), sum(megapixels.values())
        shared = sum(self.expected(index, len(megapixels), total) for index in passes) / max(workers, 1)
        owners = {index: self.ensemble.passes[index].member for index in passes}
        loads = [self.load(member) for member in set(owners.values())]
        longest = max(self.load(owners[index]) + self.expected(index, 1, largest) for index in passes)
        return max(shared + loading_seconds(loads, workers), longest)
