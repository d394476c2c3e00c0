"""How often tasks failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from kit.ensemble import Ensemble
from kit.plan.tasks import TRIES, LadderTask, PassTask


class Failures:
    """Counts failures of tasks.

    Args:
        ensemble: knows the members of passes.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self._counts: Counter[LadderTask] = Counter()
        self._members: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, task: LadderTask) -> None:
        """Count a failure."""
        self._counts[_first_try(task)] += 1
        if isinstance(task, PassTask) and self.of(task) >= TRIES:
            self._members[task.image].add(self.ensemble.passes[task.index].member)

    def of(self, task: LadderTask) -> int:
        """Return how many times a task has failed."""
        return self._counts[_first_try(task)]

    def members(self, image: str) -> int:
        """Return how many members failed on an image in all their tries."""
        return len(self._members[image]) if image in self._members else 0


def _first_try(task: LadderTask) -> LadderTask:
    return replace(task, attempt=0) if isinstance(task, PassTask) else task
