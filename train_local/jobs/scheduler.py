"""Does a graph of jobs: starts what may start, goes on after a failure, says at the end what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kit.errors import KitError
from train_local.ends import GO_ON, end_in_words, signal_of
from train_local.jobs.executors.base import OUT_OF_MEMORY, Executor, Poll
from train_local.jobs.job import Job
from train_local.jobs.status import state_of

SETTLE = 70.0
"""Seconds after which NFS shows a new file of another machine at the latest."""
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
        refused: job that the executor did not take yet -> why.
    """

    jobs: dict[str, Job]
    standing: dict[str, Standing] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    blocked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

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
        settle: seconds that a job's files have to appear on this machine after its end; `SETTLE` if it may
            run on another one.
        try_again: seconds after which a job that was refused is submitted again, or as soon as another ends.
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
        settle: float = 0.0,
        try_again: float = 60.0,
    ) -> None:
        self._replan, self._executor, self._runs = replan, executor, runs
        self._show, self._pause, self._quiet_after = show, pause, quiet_after
        self._settle, self._try_again = settle, try_again
        self._handles: dict[str, str] = {}
        # By `time.monotonic`: the clocks of machines differ, and those of file servers, too.
        self._heard: dict[str, tuple[tuple[int, ...], float]] = {}
        self._ended: dict[str, float] = {}
        self._refused_at = float("-inf")
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
                # Whatever happens to one of them, the others are ended, too.
                with suppress(Exception):
                    self._executor.cancel(handle)
            raise
        self._find_blocked()
        return self.progress

    def _take(self, jobs: Mapping[str, Job]) -> None:
        """Take a plan over; jobs that run or have failed keep their standing.

        A recipe of 5 folds on data that turned out to have 3 has jobs in the old plan that the new one lacks.
        """
        before, standing = self.progress.jobs, self.progress.standing
        # What stopped early in this call has had its time.
        stopped = {name for name, state in standing.items() if state == "stopped early"}
        kept = {*self._handles, *self.progress.failures, *stopped}
        self.progress.jobs = {**{name: before[name] for name in self._handles if name not in jobs}, **jobs}
        self.progress.standing = {
            name: standing[name]
            if name in kept & standing.keys()
            else "done"
            if state_of(job) == "done"
            else "to do"
            for name, job in self.progress.jobs.items()
        }

    def _submit_ready(self) -> None:
        standing, refused = self.progress.standing, self.progress.refused
        ready = [
            (name, job)
            for name, job in self.progress.jobs.items()
            if standing[name] == "to do" and all(standing.get(need) == "done" for need in job.needs)
        ]
        if refused and self._handles and time.monotonic() - self._refused_at < self._try_again:
            return
        refused.clear()
        for name, job in ready:
            log = log_of(job, self._runs)
            try:
                self._handles[name] = self._executor.submit(job, log)
            except KitError as error:
                if self._handles:
                    # A queue that takes 20 jobs of one person takes the 21st when one of them has ended.
                    refused[name], self._refused_at = error.problem, time.monotonic()
                    return
                standing[name] = "failed"
                self.progress.failures[name] = Failure(error.problem, log, error.fix or GO_ON)
            else:
                standing[name] = "waiting"

    def _look(self, name: str) -> None:
        poll, job = self._executor.poll(self._handles[name]), self.progress.jobs[name]
        if poll.state == "waiting":
            self.progress.standing[name] = "waiting"
            self._heard.pop(name, None)
            return
        self.progress.places[name] = poll.place
        if poll.state == "running":
            self.progress.standing[name] = "running"
            self._listen(job)
            return
        if poll.code == 0 and state_of(job) not in ("done", "stopped early"):
            ended = self._ended.setdefault(name, time.monotonic())
            if time.monotonic() - ended < self._settle:
                return
        del self._handles[name]
        self._refused_at = float("-inf")
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
                try:
                    self._take(self._replan())
                except KitError as error:
                    # Jobs of other competitions go on.
                    self._fail(job, Failure(f"{error.problem} ({error.where})", log, error.fix or GO_ON))
        else:
            self._fail(job, explain(poll, log))

    def _fail(self, job: Job, failure: Failure) -> None:
        self.progress.standing[job.name] = "failed"
        self.progress.failures[job.name] = failure

    def _listen(self, job: Job) -> None:
        """Note how long a running job has said nothing: how long its log and its status stay as they are."""
        now, dates = time.monotonic(), []
        for path in (log_of(job, self._runs), job.folder / "status.json"):
            with suppress(OSError):
                dates.append(path.stat().st_mtime_ns)
        said = tuple(dates)
        before, since = self._heard.get(job.name, (None, now))
        if said != before:
            self._heard[job.name] = (said, now)
            since = now
        if now - since >= self._quiet_after:
            self.progress.quiet[job.name] = now - since
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
    again = f"then {GO_ON}"
    if OUT_OF_MEMORY in poll.problem:
        what, fix = end_in_words(-9)
        return Failure(f"it {what}: {poll.problem}", log, fix)
    if poll.problem or poll.code is None:
        return Failure(
            f"the executor lost it: {poll.problem or 'no exit code'}", log, f"look at {log}, {again}"
        )
    if poll.code == 0:
        return Failure(
            "it ended without an error, but its result is of another plan: sources or data changed meanwhile",
            log,
            "run the same command again",
        )
    what, fix = end_in_words(poll.code)
    if signal_of(poll.code):
        return Failure(f"it {what}", log, fix)
    return Failure(_last_error(log) or f"it {what}", log, f"see above or in the log, {again}")


def _last_error(log: Path) -> str:
    """The last message of a log: from its last line with "error" to the end; empty if there is none."""
    try:
        lines = log.read_bytes()[-20000:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    # "--- 2026-11-29 05:00:00 python -m train_local job ..." begins each start; the last one counts.
    starts = [number for number, line in enumerate(lines) if line.startswith("--- ")]
    lines = lines[starts[-1] + 1 :] if starts else lines
    begins = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if begins:
        return "\n".join(lines[begins[-1] :][:6]).removeprefix("error: ")
    return lines[-1] if lines else ""
