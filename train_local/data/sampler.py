"""Which example comes when: a function of seed and position only, so that resuming needs no loader state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from kit.errors import KitError

Position = tuple[int, int]
"""Optimiser step from 0, and the example's number within it."""


def generator(seed: int, step: int, item: int) -> np.random.Generator:
    """Return the generator of one example: all its randomness."""
    # SeedSequence mixes the three numbers: (1, 2, 3) and (1, 3, 2), or step 7 and step 8, share no pattern.
    return np.random.default_rng(np.random.SeedSequence([seed, step, item]))


@lru_cache(maxsize=8)
def _permutation(seed: int, stream: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(np.random.SeedSequence([seed, stream, epoch, count])).permutation(count)


def shuffled(seed: int, stream: int, number: int, count: int) -> int:
    """Return which of `count` things the `number`-th example is, in a new random order for each round.

    With 3 things the numbers 0 to 2 give for example 2, 0, 1, and the numbers 3 to 5 give 1, 2, 0: every
    thing comes once per round, and any number can be asked for without those before it.

    Args:
        seed: of the run.
        stream: keeps several sequences of one run apart.
        number: of examples of this sequence before this one.
        count: of things.
    """
    return int(_permutation(seed, stream, number // count, count)[number % count])


def share(number: int, part: float) -> tuple[bool, int]:
    """Tell which of two sequences the `number`-th example comes from, mixed evenly.

    Among the first n examples, n * `part` (rounded down) are from the first sequence. With part = 0.4:

        number              0  1  2  3  4  5  6  7
        from the first      -  -  x  -  x  -  -  x
        earlier of its own  0  1  0  2  1  3  4  2

    Args:
        number: position in the mixed sequence, from 0.
        part: share of the first sequence.

    Returns:
        Whether the example is from the first sequence, and how many examples before it are from the same.
    """
    # 1e-9: 90 * 0.7 is 62.99999999999999 in floating point and has to count as 63.
    before, after = int(number * part + 1e-9), int((number + 1) * part + 1e-9)
    return (True, before) if after > before else (False, number - before)


class ByPosition(Protocol):
    """Examples that are functions of their position."""

    def __getitem__(self, position: Position, /) -> Any:
        """One example, as `collate` takes it."""


@dataclass(frozen=True)
class Layout:
    """Which examples of an optimiser step one process computes.

    A step is made of forward passes of `batch` examples: pass 0 has the examples 0 to batch - 1, and so on.
    The processes take turns. With 4 passes of 2 examples, and 2 processes:

        examples of the step   0 1   2 3   4 5   6 7
        pass                    0     1     2     3
        process                 0     1     0     1

    So a step has the same examples and the same passes for every number of processes.

    Attributes:
        batch: examples of a forward pass.
        all_passes: forward passes of a step, over all processes.
        rank: number of this process.
        processes: how many there are; a divisor of `all_passes`.
    """

    batch: int
    all_passes: int
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if self.all_passes % self.processes:
            fits = [n for n in range(1, self.all_passes + 1) if self.all_passes % n == 0]
            raise KitError(
                f"{self.processes} processes cannot share the {self.all_passes} forward passes of an "
                f"optimiser step evenly (batches of {self.batch}, {self.batch * self.all_passes} examples)",
                where="--gpus-per-run",
                fix=f"use --gpus-per-run {' or '.join(map(str, fits))}: the total batch stays as published",
            )

    @property
    def passes(self) -> int:
        """Forward passes of a step in this process."""
        return self.all_passes // self.processes

    def number(self, index: int) -> int:
        """Return the number within the step of this process's `index`-th pass."""
        return self.rank + index * self.processes

    def positions(self, step: int, index: int) -> list[Position]:
        """Return the examples of this process's `index`-th pass of a step."""
        start = self.number(index) * self.batch
        return [(step, start + place) for place in range(self.batch)]


class Steps(Sampler[list[Position]]):
    """The positions of every forward pass of one process, from a given step on.

    Args:
        first: step to begin with.
        total: steps of the run.
        layout: which examples of a step this process computes.
        skip: passes of the first step that are done already.
    """

    def __init__(self, first: int, total: int, layout: Layout, *, skip: int = 0) -> None:
        self._range, self._layout, self._skip = range(first, total), layout, skip

    def __iter__(self) -> Iterator[list[Position]]:
        # Step 5 with batch 2 and 2 passes: [(5, 0), (5, 1)], then [(5, 2), (5, 3)].
        for step in self._range:
            for index in range(self._skip if step == self._range.start else 0, self._layout.passes):
                yield self._layout.positions(step, index)

    def __len__(self) -> int:
        return len(self._range) * self._layout.passes - self._skip


def _quiet_worker(_: int) -> None:
    """Use one thread in each worker: the processes already are the parallelism."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loader(
    examples: ByPosition, steps: Steps, *, collate: object, workers: int, pin: bool
) -> DataLoader[object]:
    """Return a loader of batches in the order of `steps`; they are the same for any number of workers.

    Args:
        examples: takes a `Position`.
        steps: which, and in which order.
        collate: list of examples -> batch.
        workers: processes; 0 loads in this one.
        pin: page-locked memory, for a GPU.
    """
    # The sampler yields lists of positions, so it takes the place of `batch_size` and `shuffle`. Workers may
    # finish in any order; the loader hands batches out in that of the sampler.
    return DataLoader(
        examples,  # type: ignore[arg-type]  # torch wants its own base class, and uses `__getitem__` only
        batch_sampler=steps,
        collate_fn=collate,  # type: ignore[arg-type]  # torch's own alias is private
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_quiet_worker,
        persistent_workers=False,
        generator=torch.Generator(),  # its own: drawing from the global one would make resuming inexact
    )
