"""How many workers run on which devices, and what happens when one does not start, dies or hangs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kit.errors import KitError
from kit.typed_json import to_plain
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.work.device import GIB, available_memory, cpu_count, gpu_slots
from submission.runtime.work.messages import Exited, Ready, Unusable
from submission.runtime.work.processes import Received, WorkerProcess, WorkerProcesses

_WORKER_MEMORY = 1.5 * GIB
"""Bytes that a worker on the CPU takes besides its weights: torch, libraries, a band of an image."""
_COPIES_OF_WEIGHTS = 3
"""The file, the module, and what the first layers need on top."""
_START_LIMITS = 4
"""A worker may take this many times the limit to import torch: a cold image reads gigabytes of libraries."""


def cpu_workers(cores: int, memory: int | None, largest_weights: int) -> int:
    """Return how many workers a machine without a GPU gets: one per core, as far as the memory goes.

    Args:
        cores: that may be used.
        memory: bytes that may be used, None if unknown.
        largest_weights: bytes of the largest member.
    """
    if memory is None:
        return cores
    # 5 GiB free, weights of 0.3 GiB: a worker takes 1.5 + 3 x 0.3 = 2.4 GiB, so 2 workers, even on 4 cores.
    each = _WORKER_MEMORY + _COPIES_OF_WEIGHTS * largest_weights
    return max(1, min(cores, int(memory // each)))


class Workers:
    """The workers of a run.

    Args:
        processes: starts and ends them.
        report: records what happens.
        device: "auto", "cpu" or "cuda".
        count: number of workers, None: one per GPU or core.
        largest_weights: bytes of the largest member.
        environment: of this process; may limit the GPUs.

    Attributes:
        broken: why no worker can work any more, None as long as one can.
    """

    def __init__(
        self,
        processes: WorkerProcesses,
        report: RunReport,
        *,
        device: str,
        count: int | None,
        largest_weights: int,
        environment: Mapping[str, str],
    ) -> None:
        self.processes, self.report, self.device, self.count = processes, report, device, count
        self.largest_weights = largest_weights
        self.gpus = [] if device == "cpu" else gpu_slots(environment)
        self.broken: KitError | None = None
        self._failed_starts = 0

    @property
    def size(self) -> int:
        """Number of live workers."""
        return len(self.processes.live)

    def start(self) -> None:
        """Start the workers; they check their device at once."""
        if self.gpus:
            for index in range(self.count or len(self.gpus)):
                self._start_one("cuda:0", index % len(self.gpus))
        elif self.device == "cuda":
            self.broken = wording.no_gpu()
        else:
            cores = cpu_count()
            for index in range(self.count or cpu_workers(cores, available_memory(), self.largest_weights)):
                self._start_one("cpu", index)

    def restart(self) -> None:
        """Replace all workers by new ones."""
        for worker in list(self.processes.live):
            self.processes.kill(worker)
        self.broken, self._failed_starts = None, 0
        self.start()

    def _start_one(self, device: str, slot: int) -> None:
        if device == "cpu":
            # One thread each: sums have one order, so results do not depend on the number of workers.
            extra = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            extra["CUDA_VISIBLE_DEVICES"] = ""
        else:
            extra = {"CUDA_VISIBLE_DEVICES": self.gpus[slot]}
        try:
            self.processes.start(device, slot, extra)
        except OSError as error:  # no process, no memory, no room for its log
            reason = str(error.strerror or error)
            self.report.problem(wording.worker_not_started(reason))
            if not self.processes.live:
                self.broken = wording.workers_cannot_start(reason, self.processes.logs)

    def poll(self, timeout: float) -> list[Received]:
        """Return messages about tasks; messages about workers themselves are handled here.

        Args:
            timeout: seconds to wait at most.
        """
        about_tasks = []
        for received in self.processes.poll(timeout):
            worker, message = received.worker, received.message
            if isinstance(message, Ready):
                worker.ready = True
                facts = to_plain(message.device, leave_out_none=True)
                self.report.event("device", worker=worker.number, **facts)
                self.report.values.setdefault("device", facts)
            elif isinstance(message, Unusable):
                self._give_up(worker, message)
            else:
                about_tasks.append(received)
                if isinstance(message, Exited):
                    self._start_again(worker)
        return about_tasks

    def _give_up(self, worker: WorkerProcess, message: Unusable) -> None:
        """End a worker whose device does not compute; go on with the CPU when no GPU is left."""
        told = wording.worker_problem(worker.number, message.problem)
        self.report.problem(told, worker=worker.number)
        worker.task = None
        self.processes.kill(worker)
        if self.processes.live:
            return
        if self.device == "auto" and self.gpus:
            self.report.say(wording.NO_GPU_COMPUTES)
            self.gpus = []
            self.start()
        else:
            self.broken = KitError(message.problem, where=worker.device, fix=message.fix)

    def _start_again(self, worker: WorkerProcess) -> None:
        """Replace a worker that ended, unless workers end before they ever get ready."""
        # With 2 workers still alive, the fourth end in a row before "ready" starts no replacement; the run
        # goes on with those 2. When none is left, it ends.
        if worker.device != "cpu" and not self.gpus:
            return  # the last GPU was given up in the same moment
        self._failed_starts = 0 if worker.ready else self._failed_starts + 1
        if self._failed_starts < 2 * max(1, self.size):
            self._start_one(worker.device, worker.slot)
        elif not self.processes.live:
            self.broken = wording.workers_do_not_start(worker.tail(), worker.log)

    def stalled(self, limit: float) -> list[WorkerProcess]:
        """Return the workers that were silent too long; an idle worker is never stalled.

        Args:
            limit: seconds that a worker with a task may be silent.
        """
        # A limit of 30 s: a worker with a task may be silent for 30 s, a new one may import for 120 s. A
        # worker in a pass sends a sign of life every half second, as long as its network returns.
        now = time.monotonic()
        return [
            worker
            for worker in self.processes.live
            if (worker.ready and worker.task is not None and now - worker.heard > limit)
            or (not worker.ready and now - worker.heard > _START_LIMITS * limit)
        ]

    def replace(self, worker: WorkerProcess) -> None:
        """Kill a worker that hangs and start another in its place."""
        self.processes.kill(worker)
        self._start_again(worker)
