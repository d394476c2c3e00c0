"""How many workers on which devices, and what happens when one does not start, dies or hangs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kit.errors import KitError
from submission.runtime.work.device import GIB, available_memory, cpu_count, gpu_slots
from submission.runtime.result.report import Journal
from submission.runtime.work.processes import Message, Pool, Worker

_WORKER_MEMORY = 1.5 * GIB
"""Of one worker on the CPU besides its weights: torch, a library's imports, a band of an image."""
_COPIES_OF_WEIGHTS = 3
"""The file, the module and what the first layers need on top."""


def cpu_workers(cores: int, memory: int | None, largest_weights: int) -> int:
    """How many workers a machine without a GPU carries: one a core, as far as memory goes.

    Args:
        cores: that may be used.
        memory: bytes that may be used, None if unknown.
        largest_weights: bytes of the largest member.
    """
    if memory is None:
        return cores
    each = _WORKER_MEMORY + _COPIES_OF_WEIGHTS * largest_weights
    return max(1, min(cores, int(memory // each)))


_START_LIMITS = 4
"""Times the limit that a worker may take to import torch: a cold image reads gigabytes of libraries."""


class Crew:
    """The workers of a run.

    Args:
        pool: starts and ends them.
        journal: told what happens.
        device: "auto", "cpu" or "cuda".
        count: of workers, None: one a GPU or core.
        largest_weights: bytes of the largest member.
        environment: of this process; may limit the GPUs.

    Attributes:
        broken: why nobody can work any more, None as long as somebody can.
    """

    def __init__(
        self,
        pool: Pool,
        journal: Journal,
        *,
        device: str,
        count: int | None,
        largest_weights: int,
        environment: Mapping[str, str],
    ) -> None:
        self.pool, self.journal, self.device, self.count = pool, journal, device, count
        self.largest_weights = largest_weights
        self.gpus = [] if device == "cpu" else gpu_slots(environment)
        self.broken: KitError | None = None
        self._failed_starts = 0

    @property
    def size(self) -> int:
        """Live workers."""
        return len(self.pool.workers)

    def start(self) -> None:
        """Start the workers; they check their device at once."""
        if self.gpus:
            for index in range(self.count or len(self.gpus)):
                self._spawn("cuda:0", index % len(self.gpus))
        elif self.device == "cuda":
            self.broken = KitError(
                "no GPU is visible",
                where="--device cuda",
                fix="switch the accelerator on, or use --device cpu",
            )
        else:
            cores = cpu_count()
            for index in range(self.count or cpu_workers(cores, available_memory(), self.largest_weights)):
                self._spawn("cpu", index)

    def _spawn(self, device: str, slot: int) -> None:
        if device == "cpu":
            # One thread each: sums have one order, so results do not depend on the number of workers.
            extra = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            extra["CUDA_VISIBLE_DEVICES"] = ""
        else:
            extra = {"CUDA_VISIBLE_DEVICES": self.gpus[slot]}
        try:
            self.pool.spawn(device, slot, extra)
        except OSError as error:  # no process, no memory, no room for its log
            self.journal.problem(f"a worker could not be started: {error.strerror or error}")
            if not self.pool.workers:
                self.broken = KitError(
                    f"workers cannot be started: {error.strerror or error}",
                    where=self.pool.logs,
                    fix="free memory, and space on that disk",
                )

    def poll(self, timeout: float) -> list[Message]:
        """Messages that concern tasks; those about workers themselves are dealt with here.

        Args:
            timeout: seconds to wait at most.
        """
        remaining = []
        for message in self.pool.poll(timeout):
            if message.event == "ready":
                message.worker.ready = True
                self.journal.event("device", worker=message.worker.number, **message.facts)
                self.journal.report.setdefault("device", dict(message.facts))
            elif message.event == "unusable":
                self._unusable(message)
            else:
                remaining.append(message)
                if message.event == "exit":
                    self._gone(message.worker)
        return remaining

    def _unusable(self, message: Message) -> None:
        problem = str(message.facts["problem"])
        self.journal.problem(f"worker {message.worker.number}: {problem}", worker=message.worker.number)
        message.worker.job = None
        self.pool.kill(message.worker)
        if self.pool.workers:
            return
        if self.device == "auto" and self.gpus:
            self.journal.say("no GPU computes: going on with the CPU")
            self.gpus = []
            self.start()
        else:
            self.broken = KitError(
                problem, where=message.worker.device, fix=str(message.facts.get("fix") or "")
            )

    def _gone(self, worker: Worker) -> None:
        """Replace a dead worker, unless workers die before they ever get ready."""
        if worker.device != "cpu" and not self.gpus:
            return  # the last GPU was given up in the same moment
        self._failed_starts = 0 if worker.ready else self._failed_starts + 1
        if self._failed_starts < 2 * max(1, self.size):
            self._spawn(worker.device, worker.slot)
        elif not self.pool.workers:
            self.broken = KitError(
                f"workers do not start: {worker.tail().splitlines()[-1] if worker.tail() else 'no message'}",
                where=worker.log,
                fix="read the last lines of that file; the image's torch may be broken",
            )

    def stalled(self, limit: float) -> list[Worker]:
        """Workers without a sign of life.

        Args:
            limit: seconds a job may be silent; an idle worker is never stalled.
        """
        now = time.monotonic()
        return [
            worker
            for worker in self.pool.workers
            if (worker.ready and worker.job is not None and now - worker.heard > limit)
            or (not worker.ready and now - worker.heard > _START_LIMITS * limit)
        ]

    def replace(self, worker: Worker) -> None:
        """Kill a worker that hangs and start another in its place."""
        self.pool.kill(worker)
        self._gone(worker)
