"""Does a graph of jobs: starts what may start, goes on after a failure, says at the end what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from train_local.jobs.executors.base import Executor, Poll
from train_local.jobs.job import Job
from train_local.jobs.status import state_of

Standing = Literal["done", "stopped early", "to do", "waiting", "running", "failed", "blocked"]


@dataclass(frozen=True)
class Failure:
    """Why a job is not done.

    Attributes:
        problem: what happened, one sentence.
        log: its output.
        fix: what to do.
    """

    problem: str
    log: Path
    fix: str


@dataclass
class Progress:
    """How far a graph is.

    Attributes:
        jobs: by name, in the order of the plan.
        standing: of each job.
        places: GPU, node or cluster job of those that run.
        failures: of those that failed.
        blocked: job that cannot run -> the failed or unfinished jobs it waits for.
        quiet: job that runs -> seconds without a sign of life, if that is long.
    """

    jobs: dict[str, Job]
    standing: dict[str, Standing] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    blocked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everything is done."""
        return all(standing == "done" for standing in self.standing.values())


def log_of(job: Job, runs: Path) -> Path:
    """Return the file that a job's output goes to; all starts of it, one after another."""
    return runs / job.competition / "logs" / f"{job.short_name.replace('/', '-')}.log"


class Scheduler:
    """Does jobs with an executor.

    Args:
        replan: makes the plan. It is called again when data was prepared, since only then the identities of
            the jobs behind it are known.
        executor: runs command lines.
        runs: folder of all runs, for the logs.
        show: called after every change, and once a second, with the progress.
        pause: seconds between two looks at the jobs.
        quiet_after: seconds without output and without a new status from which a job is reported as quiet.
    """

    def __init__(
        self,
        replan: Callable[[], Mapping[str, Job]],
        executor: Executor,
        runs: Path,
        *,
        show: Callable[[Progress], None] = lambda _: None,
        pause: float = 0.5,
        quiet_after: float = 900.0,
    ) -> None:
        self._replan, self._executor, self._runs = replan, executor, runs
        self._show, self._pause, self._quiet_after = show, pause, quiet_after
        self._handles: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self.progress = Progress({})
        self._take(replan())

    def run(self) -> Progress:
        """Do every job that can be done, then return what came of each.

        Raises:
            KeyboardInterrupt: after all running jobs were ended.
        """
        # One round: submit what may start, look at what runs. With stage1 -> stage2 -> ensemble <- other:
        #     round 1   submit stage1 and other (the executor decides which of them has to wait)
        #     round 9   stage1 has ended well: submit stage2
        #     round 12  other has failed: ensemble is blocked, stage2 goes on
        #     round 20  stage2 has ended, nothing runs, nothing can start: the end
        try:
            while True:
                self._submit_ready()
                self._show(self.progress)
                if not self._handles:
                    break
                time.sleep(self._pause)
                for name in list(self._handles):
                    self._look(name)
        except BaseException:
            for handle in self._handles.values():
                self._executor.cancel(handle)
            raise
        self._find_blocked()
        return self.progress

    def _take(self, jobs: Mapping[str, Job]) -> None:
        """Take a plan over; jobs that run or have failed keep their standing."""
        self.progress.jobs = dict(jobs)
        for name, job in jobs.items():
            if name in self._handles or name in self.progress.failures:
                continue
            state = state_of(job)
            self.progress.standing[name] = "done" if state == "done" else "to do"

    def _submit_ready(self) -> None:
        standing = self.progress.standing
        for name, job in self.progress.jobs.items():
            if standing[name] == "to do" and all(standing.get(need) == "done" for need in job.needs):
                log = log_of(job, self._runs)
                self._handles[name] = self._executor.submit(name, job.command, job.resources, log)
                self._began[name] = time.time()
                standing[name] = "waiting"

    def _look(self, name: str) -> None:
        poll, job = self._executor.poll(self._handles[name]), self.progress.jobs[name]
        if poll.state == "waiting":
            self._began[name] = time.time()
            return
        self.progress.places[name] = poll.place
        if poll.state == "running":
            self.progress.standing[name] = "running"
            self._listen(job)
            return
        del self._handles[name]
        self.progress.quiet.pop(name, None)
        self._judge(job, poll)

    def _judge(self, job: Job, poll: Poll) -> None:
        """Decide what came of a job that has ended."""
        log = log_of(job, self._runs)
        state = state_of(job)
        if poll.code == 0 and state == "stopped early":
            self.progress.standing[job.name] = "stopped early"
        elif poll.code == 0 and state == "done":
            self.progress.standing[job.name] = "done"
            if job.kind == "prepare":
                self._take(self._replan())
        else:
            self.progress.standing[job.name] = "failed"
            self.progress.failures[job.name] = explain(poll, log)

    def _listen(self, job: Job) -> None:
        """Note how long a running job has said nothing."""
        latest = self._began[job.name]
        for path in (log_of(job, self._runs), job.folder / "status.json"):
            if path.is_file():
                latest = max(latest, path.stat().st_mtime)
        silent = time.time() - latest
        if silent >= self._quiet_after:
            self.progress.quiet[job.name] = silent
        else:
            self.progress.quiet.pop(job.name, None)

    def _find_blocked(self) -> None:
        """Find the jobs that could not run, and the first causes: those that failed or stopped early."""
        standing = self.progress.standing
        causes: dict[str, tuple[str, ...]] = {}
        for name, job in self.progress.jobs.items():
            if standing[name] in {"failed", "stopped early"}:
                causes[name] = (name,)
            elif standing[name] == "to do":
                causes[name] = tuple(dict.fromkeys(c for need in job.needs for c in causes.get(need, ())))
                standing[name] = "blocked"
                self.progress.blocked[name] = causes[name]


def explain(poll: Poll, log: Path) -> Failure:
    """Say why a job failed, and what to do."""
    again = "then run the same command again: finished jobs are kept, this one goes on"
    if poll.code == -9 or "OUT_OF_MEMORY" in poll.problem:
        return Failure(
            "it was killed by signal 9, which is what Linux does when the memory runs out",
            log,
            f"use fewer --jobs or --workers (or ask Slurm for more with --submit mem_gb=N), {again}",
        )
    if poll.problem or poll.code is None:
        return Failure(
            f"the executor lost it: {poll.problem or 'no exit code'}", log, f"look at {log}, {again}"
        )
    if poll.code < 0:
        return Failure(f"it was ended by signal {-poll.code}", log, again.removeprefix("then "))
    if poll.code == 0:
        return Failure(
            "it ended without an error, but its result is of another plan: sources or data changed meanwhile",
            log,
            "run the same command again",
        )
    problem = _last_error(log) or f"it ended with exit code {poll.code}"
    return Failure(problem, log, f"see above or in the log, {again}")


def _last_error(log: Path) -> str:
    """The last message of a log: from its last line with "error" to the end; empty if there is none."""
    try:
        lines = log.read_bytes()[-20000:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    begins = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if begins:
        return "\n".join(lines[begins[-1] :][:6]).removeprefix("error: ")
    return lines[-1] if lines and not lines[-1].startswith("---") else ""
