"""What example comes when: a pure function of seed and position, so that resuming needs no loader state."""

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
    """The only randomness of one example."""
    return np.random.default_rng(np.random.SeedSequence([seed, step, item]))


@lru_cache(maxsize=8)
def _permutation(seed: int, stream: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(np.random.SeedSequence([seed, stream, epoch, count])).permutation(count)


def shuffled(seed: int, stream: int, number: int, count: int) -> int:
    """Which of `count` things the `number`-th example is, if walked through in a new order each round.

    Args:
        seed: of the run.
        stream: keeps several walks of one run apart.
        number: of examples of this walk before this one.
        count: of things.
    """
    return int(_permutation(seed, stream, number // count, count)[number % count])


def share(number: int, part: float) -> tuple[bool, int]:
    """Split a sequence in two so that the first kind's share stays within one of `part` at every point.

    Returns:
        Whether the `number`-th is of the first kind, and how many of its kind came before it.
    """
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
        for step in self._range:
            for start in range(0, self._batch * self._accumulate, self._batch):
                yield [(step, start + place) for place in range(self._batch)]

    def __len__(self) -> int:
        return len(self._range) * self._accumulate


def _quiet_worker(_: int) -> None:
    """One thread a worker: the processes already are the parallelism."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loader(
    examples: Dataset[object], steps: Steps, *, collate: object, workers: int, pin: bool
) -> DataLoader[object]:
    """Batches in the order of `steps`; the same for any number of workers.

    Args:
        examples: takes a `Position`.
        steps: which, and in which order.
        collate: list of examples -> batch.
        workers: processes; 0 loads in this one.
        pin: page-locked memory, for a GPU.
    """
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
