"""How many workers run on which devices, and what happens when one does not start, dies or hangs."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Mapping

from kit.errors import KitError
from kit.typed_json import to_plain
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.work.device import GIB, available_memory, cpu_count, gpu_slots
from submission.runtime.work.ends import how_it_ended
from submission.runtime.work.memory_log import MemoryLog
from submission.runtime.work.messages import Exited, Ready, Unusable
from submission.runtime.work.processes import Received, WorkerProcess, WorkerProcesses

_WORKER_MEMORY = 1.5 * GIB
"""Bytes that a worker on the CPU takes besides its weights: torch, libraries, a band of an image."""
_COPIES_OF_WEIGHTS = 3
"""The file, the module, and what the first layers need on top."""
_PAUSES = (2.0, 4.0, 8.0, 16.0)
"""Seconds before one worker is started again after all ended before they were ready."""
_HELPERS = 3
"""Times a worker on the CPU is started beside those on GPUs."""


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


def _own_environment(gpu: str | None) -> dict[str, str]:
    """Return the variables of a worker on a GPU, or of one on the CPU."""
    if gpu is not None:
        return {"CUDA_VISIBLE_DEVICES": gpu}
    # One thread each: sums have one order, so results do not depend on the number of workers.
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**one, "CUDA_VISIBLE_DEVICES": ""}


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
        wanted: number of workers, as long as none has to work alone.
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
        self.wanted = 0
        self._failed_starts = self._helpers = 0
        self._pauses, self._helper_makes_rows = list(_PAUSES), False
        self._start_at, self._memory = math.inf, MemoryLog(report.values)

    @property
    def size(self) -> int:
        """Number of live workers, without one on the CPU beside those on GPUs."""
        return sum(not self.helps(worker) for worker in self.processes.live)

    def start(self) -> None:
        """Start the workers; they check their device at once."""
        fit = cpu_workers(cpu_count(), available_memory(), self.largest_weights)
        if self.gpus:
            self.wanted = self.count or len(self.gpus)
            # Rows, means and checks need no GPU: where a core and the memory are left, a helper makes them.
            self._helper_makes_rows = self.count is None and fit > len(self.gpus)
        elif self.device == "cuda":
            self.broken = wording.no_gpu()
        else:
            self.wanted = self.count or fit
        self.fill()

    def fill(self) -> None:
        """Start the workers that are missing, after one has worked alone."""
        if self._helper_makes_rows:
            self.helper()
        used = {worker.slot for worker in self.processes.live if not self.helps(worker)}
        if len(used) < self.wanted:
            for slot in sorted(set(range(self.wanted)) - used)[: self.wanted - len(used)]:
                self._start_one("cuda:0" if self.gpus else "cpu", slot)

    def leave_only(self, worker: WorkerProcess) -> None:
        """End the idle workers beside one: it needs the memory that they hold."""
        for other in self.processes.idle():
            if other is not worker:
                self.processes.kill(other)

    def idle(self) -> list[WorkerProcess]:
        """Return the workers that can get any task."""
        return [worker for worker in self.processes.idle() if not self.helps(worker)]

    def helper(self) -> WorkerProcess | None:
        """Return an idle worker on the CPU, beside those on GPUs; start it if there is none."""
        helpers = self._live_helpers()
        if not helpers and self.may_help:
            self._helpers += 1
            self._start_one("cpu", len(self.gpus))
        return next((worker for worker in helpers if worker.ready and worker.task is None), None)

    @property
    def may_help(self) -> bool:
        """Whether a worker on the CPU can do what failed on the GPUs."""
        started = self._helpers < _HELPERS or self._live_helpers()
        return self.device == "auto" and bool(self.gpus and started)

    @property
    def helped(self) -> bool:
        """Whether a worker on the CPU makes rows for those on GPUs."""
        return any(worker.ready for worker in self._live_helpers())

    def helps(self, worker: WorkerProcess) -> bool:
        """Whether a worker is one on the CPU beside those on GPUs."""
        return bool(self.gpus) and worker.device == "cpu"

    def _live_helpers(self) -> list[WorkerProcess]:
        return [worker for worker in self.processes.live if self.helps(worker)]

    def restart(self) -> None:
        """Replace all workers by new ones."""
        for worker in list(self.processes.live):
            self.processes.kill(worker)
        self.broken, self._failed_starts = None, 0
        self.start()

    def _start_one(self, device: str, slot: int) -> None:
        gpu = None if device == "cpu" else self.gpus[slot % len(self.gpus)]
        try:
            self.processes.start(device, slot, _own_environment(gpu))
        except OSError as error:  # no process, no memory, no room for its log
            reason = str(error.strerror or error)
            self.report.problem(wording.worker_not_started(reason))
            if not self.processes.live:
                passes = error.errno in {errno.EAGAIN, errno.ENOMEM}
                self._give_out(wording.workers_cannot_start(reason, self.processes.logs), passes=passes)

    def poll(self, timeout: float) -> list[Received]:
        """Return messages about tasks; messages about workers themselves are handled here.

        Args:
            timeout: seconds to wait at most.
        """
        about_tasks = []
        self._memory.look(self.report.elapsed(), self.processes.live)
        if time.monotonic() >= self._start_at:
            self._start_at = math.inf
            self.fill()
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
                    end = how_it_ended(message.code, worker.tail(), memory_killed=False)
                    self._start_again(worker, end.problem)
        return about_tasks

    def _give_up(self, worker: WorkerProcess, message: Unusable) -> None:
        """End a worker whose device does not compute; go on with the CPU when no GPU is left."""
        self.report.problem(wording.worker_problem(worker.number, message.problem), worker=worker.number)
        worker.task = None
        self.processes.kill(worker)
        if self.size or self.helps(worker):
            return
        if self.device == "auto" and self.gpus:
            self._use_cpu()
        else:
            self.broken = KitError(message.problem, where=worker.device, fix=message.fix)

    def _start_again(self, worker: WorkerProcess, why: str) -> None:
        """Replace a worker that ended, unless workers end before they ever get ready."""
        # With 2 workers still alive, the fourth end in a row before "ready" starts no replacement; the run
        # goes on with those 2. When none is left, it ends.
        if self.helps(worker) or (worker.device != "cpu" and not self.gpus):
            return  # a pass brings the helper back; or the last GPU was given up in the same moment
        self._failed_starts = 0 if worker.ready else self._failed_starts + 1
        if self._failed_starts < 2 * max(1, self.size):
            self._start_one(worker.device, worker.slot)
        elif self.size:
            self.wanted = self.size
        else:
            self._give_out(wording.workers_do_not_start(why, worker.log), passes=True)

    def _give_out(self, reason: KitError, *, passes: bool) -> None:
        """Go on after the last worker is gone: on the CPU, or later with one worker; else the run ends.

        Args:
            reason: why no worker starts.
            passes: it may be another the next time.
        """
        if self.device == "auto" and self.gpus:
            self.report.problem(reason.problem)
            self._use_cpu()
        elif passes and self._pauses:
            pause = self._pauses.pop(0)
            self.report.problem(wording.start_later(reason.problem, pause))
            self.wanted, self._start_at = 1, time.monotonic() + pause
        else:
            self.broken = reason

    def _use_cpu(self) -> None:
        self.report.say(wording.NO_GPU_COMPUTES)
        self.gpus, self._failed_starts = [], 0
        self.start()

    def stalled(self, limit: float) -> list[WorkerProcess]:
        """Return the workers with a task that were silent, and did nothing, for more than `limit` seconds."""
        at_work = (worker for worker in self.processes.live if not worker.ready or worker.task is not None)
        return [worker for worker in at_work if worker.hangs(limit)]

    def replace(self, worker: WorkerProcess) -> None:
        """Kill a worker that hangs and start another in its place."""
        self.processes.kill(worker)
        self._start_again(worker, wording.HANGS)
