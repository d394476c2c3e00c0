"""Which example comes when: a function of seed and position only, so that resuming needs no loader state."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

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


class Steps(Sampler[list[Position]]):
    """The positions of every forward pass from a given step on.

    Args:
        first: step to begin with.
        total: steps of the run.
        batch: examples of a forward pass.
        accumulate: forward passes of a step.
    """

    def __init__(self, first: int, total: int, batch: int, accumulate: int = 1) -> None:
        self._range = range(first, total)
        self._batch, self._accumulate = batch, accumulate

    def __iter__(self) -> Iterator[list[Position]]:
        # Step 5 with batch 2 and accumulate 2: [(5, 0), (5, 1)], then [(5, 2), (5, 3)].
        for step in self._range:
            for start in range(0, self._batch * self._accumulate, self._batch):
                yield [(step, start + place) for place in range(self._batch)]

    def __len__(self) -> int:
        return len(self._range) * self._accumulate


def _quiet_worker(_: int) -> None:
    """Use one thread in each worker: the processes already are the parallelism."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loader(
    examples: Dataset[object], steps: Steps, *, collate: object, workers: int, pin: bool
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
        examples,
        batch_sampler=steps,
        collate_fn=collate,  # type: ignore[arg-type]  # torch's own alias is private
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_quiet_worker,
        persistent_workers=False,
        generator=torch.Generator(),  # its own: drawing from the global one would make resuming inexact
    )
