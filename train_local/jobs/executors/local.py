"""Jobs on this machine: as many side by side as there are slots, each GPU job with its own GPUs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_local.jobs.executors.base import Poll, code_of, end, start
from train_local.jobs.job import Resources

_USABLE = 0.9
"""Share of a GPU's memory that several jobs may take together; CUDA itself needs some per process."""


@dataclass
class _Local:
    command: Sequence[str]
    resources: Resources
    log: Path
    gpus: tuple[str, ...] = ()
    process: subprocess.Popen[Any] | None = None
    cancelled: bool = False


class LocalExecutor:
    """Runs jobs as processes of this machine.

    A job that computes on GPUs gets GPUs of its own. Only if `slots` is larger than the number of GPUs do
    jobs share one, as long as their memory is known and fits: of three jobs of 33 GB, two run on a GPU of
    80 GB and one waits. Without GPUs every job takes one slot.

    Args:
        slots: jobs that run side by side.
        gpus: id, as CUDA_VISIBLE_DEVICES takes it -> its memory in GB.
    """

    def __init__(self, slots: int, gpus: Mapping[str, float]) -> None:
        self._slots, self._gpus = slots, dict(gpus)
        self._jobs: dict[str, _Local] = {}

    def submit(self, name: str, command: Sequence[str], resources: Resources, log: Path) -> str:
        """Queue a job; it starts as soon as its slots are free."""
        handle = f"{name}#{len(self._jobs)}"
        self._jobs[handle] = _Local(command, resources, log)
        self._start_waiting()
        return handle

    def poll(self, handle: str) -> Poll:
        """Return what is known of a job; those that wait are started if slots became free."""
        self._start_waiting()
        job = self._jobs[handle]
        place = f"GPU {','.join(job.gpus)}" if job.gpus else "CPU"
        if job.process is None:
            return Poll("ended" if job.cancelled else "waiting")
        code = code_of(job.process)
        return Poll("running", place=place) if code is None else Poll("ended", code, place)

    def cancel(self, handle: str) -> None:
        """End a job with its process group, or take it out of the queue."""
        job = self._jobs[handle]
        job.cancelled = True
        if job.process is not None:
            end(job.process)

    def _start_waiting(self) -> None:
        running = [
            job for job in self._jobs.values() if job.process is not None and code_of(job.process) is None
        ]
        for job in self._jobs.values():
            if job.process is not None or job.cancelled or len(running) >= self._slots:
                continue
            gpus = self._place(job.resources, running)
            if gpus is not None:
                job.gpus = gpus
                # A job without GPUs must not see those of the others.
                visible = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if self._gpus else {}
                job.process = start(job.command, job.log, visible)
                running.append(job)

    def _place(self, wanted: Resources, running: Sequence[_Local]) -> tuple[str, ...] | None:
        """GPUs for a job; None if there are too few free ones now."""
        if not wanted.gpus or not self._gpus:
            return ()
        count = min(wanted.gpus, len(self._gpus))
        on = {gpu: [job.resources.memory_gb for job in running if gpu in job.gpus] for gpu in self._gpus}
        sharing = self._slots > len(self._gpus) and wanted.memory_gb > 0

        def fits(gpu: str) -> bool:
            taken = on[gpu]
            room = _USABLE * self._gpus[gpu] - sum(taken)
            return not taken or (sharing and all(taken) and wanted.memory_gb <= room)

        free = sorted((gpu for gpu in self._gpus if fits(gpu)), key=lambda gpu: (len(on[gpu]), sum(on[gpu])))
        return tuple(free[:count]) if len(free) >= count else None
