"""The batches of a training process, in order; data workers that die cost nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch.utils.data import Dataset

from kit.errors import KitError
from kit.local.console import console
from kit.local.pool import unseen_by_children
from train_local.data.sampler import ByPosition, Layout, Position, Steps, loader

_DEATHS = 3
"""Deaths of workers in a row, without a batch between them, that end the run."""
_OF_A_WORKER = ("DataLoader worker", "Pin memory thread exited")


@dataclass(frozen=True)
class _Guarded(Dataset[Any]):
    """Examples whose bad input becomes a value; torch would bury the message in a worker's traceback."""

    examples: ByPosition

    def __getitem__(self, position: Position) -> Any:
        try:
            return self.examples[position]
        except KitError as error:
            return error


@dataclass(frozen=True)
class _Collate:
    collate: Callable[[list[Any]], Any]

    def __call__(self, examples: Sequence[Any]) -> Any:
        bad = next((example for example in examples if isinstance(example, KitError)), None)
        return self.collate(list(examples)) if bad is None else bad


class Batches:
    """Iterates over the batches of one process, from a step to the end of the run.

    Examples are functions of their position, so a loader can begin anywhere. When a worker is killed, for
    example by the OOM killer, a new loader begins at the batch that is wanted next, and the run goes on with
    the very same batches.

    Args:
        examples: take a `Position`.
        collate: list of examples -> batch.
        layout: which examples of a step this process computes.
        first: step to begin with.
        total: steps of the run.
        workers: processes; 0 loads in this one.
        pin: page-locked memory, for a GPU.
    """

    def __init__(
        self,
        examples: ByPosition,
        collate: Callable[[list[Any]], Any],
        layout: Layout,
        *,
        first: int,
        total: int,
        workers: int,
        pin: bool,
    ) -> None:
        self._examples, self._collate = _Guarded(examples), _Collate(collate)
        self._layout, self._first, self._total = layout, first, total
        self._workers, self._pin = workers, pin
        self._taken = self._deaths = 0
        self._iterator = self._begin()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Return the next batch.

        Raises:
            KitError: an example's files are wrong, or workers die again and again.
            StopIteration: the run is over.
        """
        while True:
            try:
                batch = next(self._iterator)
            except (RuntimeError, OSError, EOFError) as error:
                if not self._is_of_a_worker(error):
                    raise
                self._recover(error)
                continue
            if isinstance(batch, KitError):
                raise batch
            self._taken += 1
            self._deaths = 0
            return batch

    def _begin(self) -> Any:
        # 7 batches taken at 4 passes a step, begun at step 100: next is the last pass of step 101.
        done, passes = divmod(self._taken, self._layout.passes)
        steps = Steps(self._first + done, self._total, self._layout, skip=passes)
        batches = loader(self._examples, steps, collate=self._collate, workers=self._workers, pin=self._pin)
        with unseen_by_children():
            started = iter(batches)
        _let_no_signal_interrupt()
        return started

    def _is_of_a_worker(self, error: Exception) -> bool:
        # An error that an example raised inside a worker: "Caught RuntimeError in DataLoader worker process
        # 0." and a traceback.
        if str(error).startswith("Caught"):
            return False
        if isinstance(error, RuntimeError):
            return any(words in str(error) for words in _OF_A_WORKER)
        # Tensors come through sockets of the workers, which break when a worker dies.
        return self._workers > 0

    def _recover(self, error: Exception) -> None:
        self._deaths += 1
        reason = (str(error) or type(error).__name__).splitlines()[0].strip()
        if self._deaths >= _DEATHS:
            raise KitError(
                f"data workers died {self._deaths} times in a row: {reason}",
                where="--workers",
                fix="memory has probably run out: use fewer --workers (0 loads in the training process), or "
                "free memory, and run the same command again; it goes on",
            ) from error
        console().print(
            f"A data worker died ({reason}). New workers begin at the present batch; the result is the same.",
            style="yellow",
            markup=False,
        )
        del self._iterator  # ends the workers that are left
        self._iterator = self._begin()


def _let_no_signal_interrupt() -> None:
    """Let the death of a worker be found where batches are taken, and nowhere else.

    torch's handler of SIGCHLD raises an error in whatever runs at that moment, which may be half a step of
    the optimiser. Without it, the loader looks for dead workers itself while it waits for a batch.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # torch installs its handler in the main thread only
    handler = signal.getsignal(signal.SIGCHLD)
    if getattr(handler, "__module__", "").startswith("torch.utils.data"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
