"""Jobs on this machine: as many side by side as there are slots, each GPU job with its own GPUs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.local.console import console
from train_local.jobs.executors.base import Poll, code_of, end, start
from train_local.jobs.gpus import lost_gpus
from train_local.jobs.job import Job, Resources

_USABLE = 0.9
"""Share of a GPU's memory that several jobs may take together; CUDA itself needs some per process."""


@dataclass
class _Local:
    job: Job
    log: Path
    gpus: tuple[str, ...] = ()
    process: subprocess.Popen[Any] | None = None
    ended: bool = False
    problem: str = ""


class LocalExecutor:
    """Runs jobs as processes of this machine.

    A job that computes on GPUs gets GPUs of its own. Only if `slots` is larger than the number of GPUs do
    jobs share one, as long as their memory is known and fits: of three jobs of 33 GB, two run on a GPU of
    80 GB and one waits. Without GPUs every job takes one slot.

    Args:
        slots: jobs that run side by side.
        gpus: id, as CUDA_VISIBLE_DEVICES takes it -> its memory in GB, 0 if it is not known; {} shows jobs
            none, and None leaves them what this process sees.
        lost: asked after a job on GPUs has failed: those that there were -> those that are gone.
    """

    def __init__(
        self,
        slots: int,
        gpus: Mapping[str, float] | None,
        lost: Callable[[Mapping[str, float]], Sequence[str] | None] = lost_gpus,
    ) -> None:
        self._slots, self._gpus, self._lost = slots, dict(gpus or {}), lost
        self._hides, self._on_gpus = gpus is not None, bool(gpus)
        self._jobs: dict[str, _Local] = {}

    def submit(self, job: Job, log: Path) -> str:
        """Queue a job; it starts as soon as its slots are free."""
        handle = f"{job.name}#{len(self._jobs)}"
        self._jobs[handle] = _Local(job, log)
        self._start_waiting()
        return handle

    def poll(self, handle: str) -> Poll:
        """Return what is known of a job; those that wait are started if slots became free."""
        self._start_waiting()
        job = self._jobs[handle]
        place = f"GPU {','.join(job.gpus)}" if job.gpus else "CPU"
        if job.process is None:
            return Poll("ended" if job.ended else "waiting", problem=job.problem)
        code = code_of(job.process)
        return Poll("running", place=place) if code is None else Poll("ended", code, place)

    def cancel(self, handle: str) -> None:
        """End a job with its process group, or take it out of the queue."""
        job = self._jobs[handle]
        job.ended = True
        if job.process is not None:
            end(job.process)

    def _start_waiting(self) -> None:
        running = []
        for job in self._jobs.values():
            if job.process is not None and not job.ended:
                code = code_of(job.process)
                if code is None:
                    running.append(job)
                else:
                    job.ended = True
                    if code and job.gpus:
                        self._look_for_lost(job.gpus)
        for job in self._jobs.values():
            if job.process is not None or job.ended or len(running) >= self._slots:
                continue
            if job.job.resources.gpus and self._on_gpus and not self._gpus:
                job.ended, job.problem = True, "no GPU is left: see `nvidia-smi` and `dmesg`"
                continue
            gpus = self._place(job.job.resources, running)
            if gpus is not None:
                job.gpus = gpus
                try:
                    job.process = start(job.job.command, job.log, self._visible(gpus))
                except OSError as error:  # a full disk, for example: the others go on
                    job.ended, job.problem = True, f"it could not be started: {error}"
                    continue
                running.append(job)

    def _look_for_lost(self, of_failed: Sequence[str]) -> None:
        """Give no further job to a GPU that is gone: it would be free always, and fail them all."""
        lost = self._lost(self._gpus)
        # A driver that lists no GPU at all does not say which one is gone.
        for gpu in of_failed if lost is None else lost:
            if self._gpus.pop(gpu, None) is not None:
                text = f"GPU {gpu} is gone, as nvidia-smi says; no further job is started on it"
                console().print(text, style="red", markup=False)

    def _visible(self, gpus: Sequence[str]) -> dict[str, str]:
        """Variables that show a job its GPUs; one without GPUs must not see those of the others."""
        if not self._hides:
            return {}
        # CUDA counts the fastest GPU first, nvidia-smi, from which our numbers are, by the bus.
        named = {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"} & os.environ.keys()
        order = {} if named else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpus), **order}

    def _place(self, wanted: Resources, running: Sequence[_Local]) -> tuple[str, ...] | None:
        """GPUs for a job; None if there are too few free ones now."""
        if not wanted.gpus or not self._gpus:
            return ()
        large = [gpu for gpu, memory in self._gpus.items() if memory >= wanted.memory_gb]
        # Of a card of 24 GB and one of 80 GB, a job of 33 GB waits for the second. Where none is large enough
        # or known, the job itself says what it lacks.
        usable = large if len(large) >= wanted.gpus else list(self._gpus)
        count = min(wanted.gpus, len(usable))
        on = {gpu: [job.job.resources.memory_gb for job in running if gpu in job.gpus] for gpu in usable}
        sharing = self._slots > len(self._gpus) and wanted.memory_gb > 0

        def fits(gpu: str) -> bool:
            taken = on[gpu]
            room = _USABLE * self._gpus[gpu] - sum(taken)
            return not taken or (sharing and all(taken) and wanted.memory_gb <= room)

        def order(gpu: str) -> tuple[float, ...]:
            # The emptiest first, of these the smallest: a large card stays free for a large job.
            return (len(on[gpu]), sum(on[gpu]), self._gpus[gpu])

        free = sorted((gpu for gpu in usable if fits(gpu)), key=order)
        return tuple(free[:count]) if len(free) >= count else None
