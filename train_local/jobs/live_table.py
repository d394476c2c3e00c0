"""All jobs of `train-all` as a table that changes in place; plain lines where nobody watches a terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kit.local.console import console
from kit.local.wording import amount, counted
from train_local.durations import duration
from train_local.jobs.remaining import Cost, remaining
from train_local.monitor.progress import Status, read_status

JobState = Literal["waiting", "queued", "running", "stopped early", "done", "failed", "blocked"]
"""waiting: for other jobs or a free place; queued: a cluster has it; stopped early: its time was up; blocked:
a job it needs failed."""
_STYLES: Mapping[str, str] = {
    "failed": "red",
    "blocked": "yellow",
    "stopped early": "yellow",
    "running": "bold",
    "done": "green",
}
_ORDER: Sequence[JobState] = (
    *("failed", "running", "queued", "stopped early"),
    *("blocked", "waiting", "done"),
)
_QUIET = 120.0
"""Seconds without news after which the table says how old the last news is."""
_EVERY_S = 30.0
"""Seconds after which lines say how far the jobs are, where no state has changed."""
_SHOWN = 4
"""Running jobs that such a line names."""
_HEADINGS = ("job", "state", "step", "steps/s", "left", "GPU", "memory", "data", "metric")
_LEFT = 2
"""The first columns are words, the others numbers."""
_LEAST_NEEDED = ("data", "memory", "GPU", "steps/s", "step")
"""Columns that are left out of a terminal without room for all, in this order."""
_UNLIMITED = 1000
"""Characters of a line that has room for every column."""


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A job as the table shows it.

    Attributes:
        name: of the job.
        folder: where its process writes `status.json`.
        log: what its process printed.
        group: jobs of one group take about the same time: the folds of a recipe.
        hours: of the published training; 0 if they are not known.
    """

    name: str
    folder: Path
    log: Path
    group: str = ""
    hours: float = 0.0


@dataclass
class _Times:
    """When a job was first seen in a state, by `time.monotonic`."""

    state: JobState | None = None
    began: float | None = None
    ended: float | None = None

    @property
    def took(self) -> float | None:
        """Seconds from start to end, if both were seen."""
        return None if self.began is None or self.ended is None else self.ended - self.began


@dataclass
class LiveTable:
    """The table, as a context manager.

    Args:
        jobs: all of them, in their order.
        bars: False prints a line at each change of a state, and one each half minute without any; so does
            True if stderr is no terminal.
        screen: where it is drawn; stderr by default.
    """

    jobs: Sequence[JobRow]
    bars: bool
    screen: Console = field(default_factory=console)

    def __post_init__(self) -> None:
        self._times = {job.name: _Times() for job in self.jobs}
        # The caller refreshes; a thread of its own would read 60 status files several times a second.
        live = self.bars and self.screen.is_terminal
        self._live = Live(console=self.screen, auto_refresh=False, transient=False) if live else None
        self._at_once = 1
        self._first = True
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, states: Mapping[str, JobState]) -> None:
        """Show the present states; call it about once a second.

        Args:
            states: name of a job -> state; a job that is not in it waits.
        """
        now = time.monotonic()
        changed = []
        for job in self.jobs:
            times = self._times.setdefault(job.name, _Times())
            state = states.get(job.name, "waiting")
            if state != times.state:
                # What was done before the first call did not take time now.
                if state == "running":
                    times.began, times.ended = now, None
                elif times.state == "running":
                    times.ended = now
                times.state = state
                changed.append(job)
        self._at_once = max(self._at_once, sum(times.state == "running" for times in self._times.values()))
        if self._live is not None:
            self._live.update(self.render(), refresh=True)
        else:
            self._print(changed)
        self._first = False

    def render(self) -> Group:
        """Return what is drawn: the jobs that fit on the screen, what is left, the logs of failed jobs."""
        statuses = {job.name: self._status(job) for job in self.jobs}
        failed = [job for job in self.jobs if self._times[job.name].state == "failed"]
        # Heading, rules, summary and the logs of failed jobs need room, too.
        room = max(self.screen.height - 6 - 2 * len(failed), 5)
        order = sorted(self.jobs, key=lambda job: _ORDER.index(self._times[job.name].state or "waiting"))
        shown = {job.name for job in order[:room]}
        rows = []
        for job in self.jobs:
            if job.name in shown:
                state = self._times[job.name].state or "waiting"
                rows.append((self._cells(job, state, statuses[job.name]), _STYLES.get(state, "dim")))
        table = _fitted(rows, self.screen)
        more = len(self.jobs) - len(shown)
        lines = [Text(f"{counted(more, 'more job')} not shown", style="dim")] if more else []
        logs = [Text(f"{job.name} failed; its log: {job.log}", style="red") for job in failed]
        return Group(table, *lines, Text(self._summary(statuses)), *logs)

    def _status(self, job: JobRow) -> Status | None:
        # What a process of an earlier start wrote says nothing about a job that waits.
        state = self._times[job.name].state
        return None if state in ("waiting", "queued", "blocked") else read_status(job.folder)

    def _cells(self, job: JobRow, state: JobState, status: Status | None) -> tuple[str, ...]:
        if status is None:
            return (job.name, state, *[""] * 7)
        metric = status.metric if state == "running" else status.best_metric
        ended = ("" if metric is None else f"{metric:.4f}",)
        step = f"{status.step}/{status.total}"
        if state != "running":
            return (job.name, state, step, *[""] * 5, *ended)
        quiet = time.time() - status.updated
        doing = f"{status.state} ({duration(quiet)})" if quiet > _QUIET else status.state
        return (
            job.name,
            doing,
            step,
            "" if status.steps_per_second is None else f"{status.steps_per_second:.3g}",
            "" if status.eta_seconds is None else duration(status.eta_seconds),
            status.gpu or status.device,
            "" if status.memory_mb is None else amount(1e6 * status.memory_mb),
            "" if status.data_share is None else f"{status.data_share:.0%}",
            *ended,
        )

    def _summary(self, statuses: Mapping[str, Status | None]) -> str:
        """One line such as "3 of 40 jobs done, 2 running, 35 waiting; about 3 h 20 min left"."""
        counts = Counter(self._times[job.name].state or "waiting" for job in self.jobs)
        parts = [f"{counts['done']} of {len(self.jobs)} jobs done"]
        parts += [f"{counts[state]} {state}" for state in _ORDER if state != "done" and counts[state]]
        left = remaining(
            (self._cost(job, statuses.get(job.name)) for job in self.jobs), at_once=self._at_once
        )
        text = ", ".join(parts)
        if left.seconds:
            text += f"; about {duration(left.seconds)} left"
        if left.unknown and counts["running"]:
            text += f", and {counted(left.unknown, 'job')} of which no time is known yet"
        return text

    def _cost(self, job: JobRow, status: Status | None) -> Cost:
        times = self._times[job.name]
        took, left = None, None
        if times.state == "done":
            took, left = times.took, 0.0
        elif times.state in ("failed", "blocked", "stopped early"):
            left = 0.0
        elif times.began is not None and status is not None and status.eta_seconds is not None:
            left = status.eta_seconds
            took = time.monotonic() - times.began + left
        return Cost(group=job.group or job.name, hours=job.hours, took=took, left=left)

    def _print(self, changed: Sequence[JobRow]) -> None:
        """A line for each job whose state changed; at first only what is not merely waiting or done."""
        if self._first:
            self._line(self._summary({}))
        if not changed and time.monotonic() - self._told >= _EVERY_S:
            self._line(self._how_far())
        for job in changed:
            times = self._times[job.name]
            if self._first and times.state in ("waiting", "done"):
                continue
            text = f"{job.name}: {times.state}"
            status = self._status(job)
            if times.state == "done":
                text += "" if times.took is None else f" after {duration(times.took)}"
                if status is not None and status.best_metric is not None:
                    text += f", metric {status.best_metric:.4f}"
                text += f"; {self._summary({row.name: self._status(row) for row in self.jobs})}"
            if times.state == "failed":
                text += f"; its log: {job.log}"
            self._line(text)

    def _how_far(self) -> str:
        """One line such as "kidney/unet.fold0 at step 40 of 240; 3 of 40 jobs done, 1 running"."""
        statuses = {job.name: self._status(job) for job in self.jobs}
        running = [job.name for job in self.jobs if self._times[job.name].state == "running"]
        steps = {name: status for name in running if (status := statuses[name]) is not None}
        parts = [f"{name} at step {status.step} of {status.total}" for name, status in steps.items()]
        more = [f"{len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
        return "; ".join([*([", ".join([*parts[:_SHOWN], *more])] if parts else []), self._summary(statuses)])

    def _line(self, text: str) -> None:
        # One line each, however long: a log file has no width.
        self.screen.print(text, markup=False, highlight=False, soft_wrap=True)
        self._told = time.monotonic()


def _fitted(rows: Sequence[tuple[tuple[str, ...], str]], screen: Console) -> Table:
    """Return the table of some rows, each with its style, without columns that have no text or no room."""
    hidden = {
        heading for place, heading in enumerate(_HEADINGS) if not any(cells[place] for cells, _ in rows)
    }
    unlimited = screen.options.update(width=_UNLIMITED)
    for next_one in (*_LEAST_NEEDED, ""):
        table = Table(expand=False)
        for place, heading in enumerate(_HEADINGS):
            if heading not in hidden:
                table.add_column(heading, justify="left" if place < _LEFT else "right", no_wrap=True)
        for cells, style in rows:
            kept = [Text(cell) for cell, name in zip(cells, _HEADINGS, strict=True) if name not in hidden]
            table.add_row(*kept, style=style)
        if Measurement.get(screen, unlimited, table).maximum <= screen.width:
            break
        hidden.add(next_one)
    return table
