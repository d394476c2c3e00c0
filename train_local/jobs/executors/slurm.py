"""Jobs on a Slurm cluster through submitit; a job that reaches its time limit is queued again and goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit

from kit.errors import KitError
from train_local.jobs.executors.base import Poll, end, hear_interrupts, start
from train_local.jobs.job import Resources


class _Command:
    """What submitit pickles and runs on the node."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command, self._log = tuple(command), log
        self._process: subprocess.Popen[Any] | None = None

    def __call__(self) -> int:
        hear_interrupts()
        self._process = start(self._command, self._log, {})
        try:
            return self._process.wait()
        finally:
            end(self._process)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Called shortly before the time limit: queue the same command again; a training goes on."""
        if self._process is not None:
            end(self._process)
        return submitit.helpers.DelayedSubmission(_Command(self._command, self._log))


class SlurmExecutor:
    """Runs jobs through submitit.

    Args:
        folder: where submitit keeps its files; on the shared file system.
        parameters: of submitit: {"slurm_partition": "gpu", "timeout_min": 600}.
        cluster: "slurm"; "local" runs the same on this machine, for a try.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any], cluster: str = "slurm") -> None:
        self._folder, self._cluster = folder, cluster
        self._parameters = {"timeout_min": 24 * 60, "cpus_per_task": 8, **parameters}
        self._jobs: dict[str, submitit.Job[int]] = {}
        try:
            self._executor()
        except (RuntimeError, NameError, ValueError) as error:
            raise KitError(
                f"submitit cannot use Slurm: {error}",
                where="--executor slurm",
                fix="run it where sbatch works; --submit takes submitit's parameters",
            ) from error

    def _executor(self) -> submitit.AutoExecutor:
        executor = submitit.AutoExecutor(self._folder, cluster=self._cluster, slurm_max_num_timeout=100)
        executor.update_parameters(**self._parameters)
        return executor

    def submit(self, name: str, command: Sequence[str], resources: Resources, log: Path) -> str:
        """Queue a job."""
        executor = self._executor()
        # A parameter of the user's wins over what the job asks for.
        asked = {"name": name.replace("/", "-"), "gpus_per_node": resources.gpus}
        executor.update_parameters(**{**asked, **self._parameters})
        job: submitit.Job[int] = executor.submit(_Command(command, log))
        self._jobs[job.job_id] = job
        return job.job_id

    def poll(self, handle: str) -> Poll:
        """Return what is known of a job."""
        job = self._jobs[handle]
        place = f"{self._cluster} job {handle}"
        if not job.done():
            return Poll(
                "waiting" if job.state in {"PENDING", "REQUEUED", "UNKNOWN"} else "running", place=place
            )
        try:
            return Poll("ended", job.result(), place)
        except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
            return Poll("ended", place=place, problem=f"{job.state}: {str(error).splitlines()[0]}")

    def cancel(self, handle: str) -> None:
        """Cancel a job, and wait a while until it is gone."""
        job = self._jobs[handle]
        with suppress(OSError, subprocess.SubprocessError):
            job.cancel(check=False)
