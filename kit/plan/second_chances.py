"""Second chances: what was set aside is tried again, alone, while time is left."""

from __future__ import annotations

from collections import Counter

from kit.plan.changes import Item
from kit.plan.losses import Losses
from kit.plan.rungs import Rungs
from kit.plan.tasks import Stage

_ONCE: frozenset[Stage] = frozenset({"load", "forward", "disk"})
"""Failures that usually stay as they are, such as outputs that are not numbers."""
_MOST = 5
"""Chances that a member or an image gets after any other failure."""
_PAUSE = 4.0
"""Seconds from the first chance to the second; each further pause is twice as long."""
_FRUITLESS = 12
"""Chances after the first of each item that may bring nothing in a row, before all others are given up."""


class Chances:
    """Counts the chances that members and images get after they were set aside.

    Args:
        losses: know what was set aside, and for which failure.
        rungs: know which rows are there.

    Attributes:
        given: member or image -> number of its chances so far.
        latest: member or image that got the last one.
    """

    # Some faults pass: others free memory, a disk comes back, a GPU resets itself. Two tries within a second
    # are too early. An image that fails at second 10 gets its chances at 10, 14, 22, 38 and 70, if nothing
    # else is to do then. If 40 images fail, each has its first chance; then come 12 more.
    def __init__(self, losses: Losses, rungs: Rungs) -> None:
        self.losses, self.rungs = losses, rungs
        self.given: Counter[Item] = Counter()
        self.latest: Item | None = None
        self._last: dict[Item, float] = {}
        self._fruitless = 0

    def give(self, item: Item, seconds: float) -> None:
        """Count a chance that begins with so many seconds left."""
        self._fruitless += self.given[item] > 0
        self.given[item] += 1
        self.latest = item
        self._last[item] = seconds

    def note_success(self, item: Item) -> None:
        """Note a result of a member or of an image, perhaps one that got a chance."""
        if self.given.get(item):
            self._fruitless = 0

    def left(self, item: Item) -> bool:
        """Whether a member or an image that was set aside has a chance left."""
        stage, given = self.losses.stages.get(item, "image"), self.given[item]
        most = 0 if stage == "image" else 1 if stage in _ONCE else _MOST
        return given < most and (not given or self._fruitless < _FRUITLESS)

    def pending(self, ready: set[int], *, images: bool) -> list[Item]:
        """Return what may still come back: members, then images, those without any row first.

        Args:
            ready: members whose weights are in place.
            images: there are images that a member can be tried on.
        """
        top = self.rungs.top()
        found: list[tuple[bool, bool, int, Item]] = []
        for position, item in enumerate(self.losses.stages):
            if not self.left(item):
                continue
            if isinstance(item, int):
                if images and item in self.losses.members and item in ready:
                    found.append((False, False, position, item))
            elif item in self.losses.images or (top is not None and self.losses.blocks_for_good(top, item)):
                row = None if top is None else self.rungs.best_row(top, item)
                if top is None or not self.rungs.up_to_date(top, item):
                    found.append((True, row is not None, position, item))
        return [item for *_, item in sorted(found, key=lambda entry: entry[:3])]

    def due(self, item: Item, seconds: float) -> bool:
        """Whether the pause before an item's next chance is over, with so many seconds left."""
        given = self.given[item]
        return not given or self._last[item] - seconds >= _PAUSE * 2 ** (given - 1)
