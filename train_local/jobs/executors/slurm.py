"""Jobs on a Slurm cluster through submitit; a job that reaches its time limit is queued again and goes on."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import submitit

from kit.artefacts import read_json, write_json
from kit.errors import KitError
from kit.local.console import console
from train_local.jobs.executors.base import OUT_OF_MEMORY, Poll, end, hear_interrupts, start
from train_local.jobs.job import Job

SUBMITTED = "submitted.json"
"""File of submitit's folder: name of a job -> its identity, and the Slurm job that does it."""
_EVERY, _GRACE = 20.0, 90.0
"""Seconds between two looks at the queue, and from when a job that is in no queue and left no result is lost:
a network's file system shows a new file on another machine after a minute at the latest."""
_NOTICE = 300.0
"""Seconds that Slurm has to say why it ended a job's processes."""
_PENDING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
_NOT_ITS_FAULT = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "TIMEOUT")
"""States, by their beginning, of a job that goes on elsewhere or later."""
_RESTARTS = 20
_MEMORY = ("OUT_OF_ME", "oom_kill", "oom-kill", "Out Of Memory")


class _Command:
    """What submitit pickles and runs on the node."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command, self._log = tuple(command), log
        self._process: subprocess.Popen[Any] | None = None

    def __call__(self) -> int:
        hear_interrupts()
        self._process = start(self._command, self._log, {})
        try:
            code = self._process.wait()
            # Slurm sends its warnings to every process of a job, and these two end ours. What follows is for
            # this process alone: SIGUSR2, upon which submitit calls `checkpoint`, or the end by SIGKILL after
            # which Slurm itself queues a preempted job again. A result that is written before would end it.
            if -code in (signal.SIGTERM, signal.SIGUSR2):
                time.sleep(_NOTICE)
            return code
        finally:
            end(self._process)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Called shortly before the time limit: queue the same command again; a training goes on."""
        if self._process is not None:
            end(self._process)
        return submitit.helpers.DelayedSubmission(_Command(self._command, self._log))


@dataclass
class _Submitted:
    """A job of this process's.

    Attributes:
        job: what it does.
        log: of its output.
        slurm: the job that does it.
        missing: since when no queue has it, by `time.monotonic`.
        state: when it was last looked at.
        restarts: because Slurm ended it and did not queue it again.
    """

    job: Job
    log: Path
    slurm: submitit.Job[int]
    missing: float | None = None
    state: Literal["waiting", "running"] = "waiting"
    restarts: int = 0


class SlurmExecutor:
    """Runs jobs through submitit.

    Slurm's jobs outlive this process, so their numbers are kept in a file. The next process takes over those
    that still wait or run, and cancels those of another identity, whose results nobody wants any more.

    Args:
        folder: where submitit keeps its files; on the shared file system.
        parameters: of submitit: {"slurm_partition": "gpu", "timeout_min": 600}.
        cluster: "slurm"; "local" runs the same on this machine, for a try.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any], cluster: str = "slurm") -> None:
        self._folder, self._cluster = folder, cluster
        self._parameters = {"timeout_min": 24 * 60, "cpus_per_task": 8, **parameters}
        self._jobs: dict[str, _Submitted] = {}
        self._queue: dict[str, str] | None = None
        self._asked = float("-inf")
        self._record: dict[str, dict[str, str]] = {}
        with suppress(KitError, ValueError, TypeError):  # not there, or damaged
            self._record = dict(read_json(folder / SUBMITTED))
        try:
            self._executor()
        except (RuntimeError, NameError, ValueError, AssertionError) as error:
            raise KitError(
                f"submitit cannot use Slurm: {error}",
                where="--executor slurm",
                fix="run it where sbatch works; --submit takes submitit's parameters",
            ) from error

    def submit(self, job: Job, log: Path) -> str:
        """Queue a job, or take over the Slurm job that an earlier process queued for it.

        Raises:
            KitError: Slurm refuses it.
        """
        slurm = self._earlier(job) or self._send(job, log)
        self._jobs[slurm.job_id] = _Submitted(job, log, slurm)
        self._write(job, slurm)
        return str(slurm.job_id)

    def poll(self, handle: str) -> Poll:
        """Return what is known of a job; one that Slurm did not queue again is submitted anew."""
        known = self._jobs[handle]
        place = f"{self._cluster} job {known.slurm.job_id}"
        if known.slurm.paths.result_pickle.exists() or (self._cluster != "slurm" and known.slurm.done()):
            return self._ended(known, place)
        if self._cluster != "slurm":
            return Poll("running", place=place)
        queue = self._look()
        state = None if queue is None else queue.get(known.slurm.job_id)
        if state is not None:
            known.missing, known.state = None, "waiting" if state in _PENDING else "running"
        elif queue is not None:
            known.missing = known.missing or time.monotonic()
            if time.monotonic() - known.missing >= _GRACE:
                return self._lost(known, place)
        # Where Slurm does not answer, it will: nothing is known to have changed.
        return Poll(known.state, place=place)

    def cancel(self, handle: str) -> None:
        """Cancel a job. Slurm ends its processes within half a minute."""
        with suppress(OSError, subprocess.SubprocessError):
            self._jobs[handle].slurm.cancel(check=False)

    def _executor(self) -> submitit.AutoExecutor:
        executor = submitit.AutoExecutor(self._folder, cluster=self._cluster, slurm_max_num_timeout=100)
        executor.update_parameters(**self._parameters)
        return executor

    def _send(self, job: Job, log: Path) -> submitit.Job[int]:
        executor = self._executor()
        asked: dict[str, Any] = {"name": job.name.replace("/", "-")}
        # A cluster without GPUs refuses a job that asks for none of them by number.
        if job.resources.gpus or self._cluster != "slurm":
            asked["gpus_per_node"] = job.resources.gpus
        # A parameter of the user's wins over what the job asks for.
        executor.update_parameters(**{**asked, **self._parameters})
        try:
            sent: submitit.Job[int] = executor.submit(_Command(job.command, log))
        except (
            OSError,
            subprocess.SubprocessError,
            submitit.core.utils.FailedJobError,
            submitit.core.utils.FailedSubmissionError,
        ) as error:
            raise KitError(
                f"Slurm refuses the job: {_last_line(str(error))}",
                where=f"--executor slurm, {job.name}",
                fix="see `sinfo` and your limits, and correct --submit",
            ) from error
        self._asked = float("-inf")  # the queue has changed
        return sent

    def _earlier(self, job: Job) -> submitit.Job[int] | None:
        """The Slurm job of an earlier process that still does this job."""
        found = self._record.get(job.name, {})
        number = found.get("slurm", "")
        if self._cluster != "slurm" or not number:
            return None
        queue = self._look()
        if queue is None:
            raise KitError(
                f"Slurm does not say whether its job {number} of an earlier start still does {job.name}",
                where="squeue",
                fix="run the same command again when `squeue` works",
            )
        if number not in queue:
            return None
        slurm: submitit.Job[int] = submitit.SlurmJob(self._folder, number)
        if found.get("identity") == job.identity:
            _say(f"{job.name}: Slurm job {number} of an earlier start goes on")
            return slurm
        _say(f"{job.name}: Slurm job {number} of an earlier start is cancelled: it is of another plan")
        with suppress(OSError, subprocess.SubprocessError):
            slurm.cancel(check=False)
        return None

    def _write(self, job: Job, slurm: submitit.Job[int]) -> None:
        self._record[job.name] = {"identity": job.identity, "slurm": str(slurm.job_id)}
        try:
            write_json(self._folder / SUBMITTED, self._record)
        except KitError as error:  # a full disk: the job runs all the same
            _say(f"{error.problem}: if train-all is killed, its next start will not find {job.name} again")

    def _look(self) -> dict[str, str] | None:
        """Slurm's queue: number of a job of this user's -> its state; None if Slurm does not answer.

        `squeue` needs no accounting database, which many clusters lack. `sacct`, which submitit asks, does.
        """
        if time.monotonic() - self._asked >= _EVERY:
            self._asked = time.monotonic()
            command = ["squeue", "--noheader", "--format=%i|%T", f"--user={os.getuid()}"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            except (OSError, subprocess.SubprocessError):
                self._queue = None
            else:
                rows = [line.strip().partition("|") for line in done.stdout.splitlines()]
                self._queue = {number: state for number, _, state in rows}
        return self._queue

    def _ended(self, known: _Submitted, place: str) -> Poll:
        """What came of a job that left a result, or that is no longer there."""
        try:
            return Poll("ended", known.slurm.result(), place)
        except (RuntimeError, OSError, EOFError, pickle.PickleError) as error:
            said = str(error)
        # submitit could not queue it again at its time limit (JobRequeue=0 in slurm.conf, for example).
        if "'requeue'" in said:
            return self._again(known, place)
        return Poll("ended", place=place, problem=_last_line(said))

    def _lost(self, known: _Submitted, place: str) -> Poll:
        """What came of a job that left no result, as far as Slurm or its own messages say it."""
        state, said, log = "", "", known.slurm.paths.stderr
        if shutil.which("sacct"):
            state = known.slurm.watcher.get_state(known.slurm.job_id, mode="force").removeprefix("UNKNOWN")
        with suppress(OSError):
            said = log.read_text(errors="replace")
        if state.startswith(_NOT_ITS_FAULT) and known.restarts < _RESTARTS:
            return self._again(known, place)
        if any(word in text for word in _MEMORY for text in (state, said)):
            return Poll("ended", place=place, problem=f"{OUT_OF_MEMORY}: {_last_line(said)}")
        what = f"Slurm says {state}" if state else "Slurm no longer has it"
        return Poll(
            "ended", place=place, problem=f"{what}: {_last_line(said) or 'it printed nothing'} ({log})"
        )

    def _again(self, known: _Submitted, place: str) -> Poll:
        """Submit a job anew; it goes on from its checkpoint."""
        try:
            known.slurm = self._send(known.job, known.log)
        except KitError as error:
            return Poll("ended", place=place, problem=error.problem)
        known.restarts, known.state, known.missing = known.restarts + 1, "waiting", None
        self._write(known.job, known.slurm)
        return Poll("waiting", place=place)


def _last_line(text: str) -> str:
    """The last line of a message that says something: submitit puts a trace between two lines of dashes."""
    trace = text.split("-" * 22)
    lines = (trace[1] if len(trace) > 2 else text).strip().splitlines()
    return lines[-1].strip() if lines else ""


def _say(text: str) -> None:
    console().print(text, markup=False, soft_wrap=True)
