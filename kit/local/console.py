"""Progress bars and tables of the local commands, drawn by rich. On Kaggle, predict.py logs plain lines.

There are colours and bars only where a person looks: stdout and stderr are a terminal, and NO_COLOR is not
set. Elsewhere (a pipe, a log, CI) tables have no colours, and what takes long says a line now and then;
sentences are not folded there, so that a path in one can be copied and searched for.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from kit.local.narrow_tables import fitted
from kit.local.wording import amount

T = TypeVar("T")
_EVERY_S = 30.0
"""Seconds between two lines of what takes long, where there are no bars."""
_LOG_WIDTH = 120
"""Characters in a line of a table in a log or a pipe, which have no width of their own."""


def is_watched() -> bool:
    """Whether a person sees stdout and stderr, and wants colours: https://no-color.org."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


class _Console(Console):
    """rich's console; it folds no word of a table on a terminal, and no sentence elsewhere."""

    def print(self, *objects: Any, soft_wrap: bool | None = None, **settings: Any) -> None:
        """Print texts and tables, as rich's method does."""
        if self.file.isatty():
            objects = tuple(fitted(item, self) if isinstance(item, Table) else item for item in objects)
        elif soft_wrap is None:
            soft_wrap = all(isinstance(item, str) for item in objects)
        super().print(*objects, soft_wrap=soft_wrap, **settings)


def _console(stream: TextIO) -> Console:
    # Without a colour system rich writes no escape sequence at all; no_color alone leaves bold and dim.
    how: dict[str, Any] = {} if is_watched() else {"color_system": None, "force_terminal": False}
    if not stream.isatty() and not os.environ.get("COLUMNS"):
        how["width"] = _LOG_WIDTH
    return _Console(file=stream, **how)


def console() -> Console:
    """Return a console on stderr: stdout is for results that other programs read."""
    return _console(sys.stderr)


def results() -> Console:
    """Return a console on stdout, for a command whose result is a table."""
    return _console(sys.stdout)


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stderr. The first column holds the names, and its lines are not wrapped."""
    table = Table(title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    for row in rows:
        # rich reads "[lung]" as a style and would print nothing for it.
        table.add_row(*map(escape, row))
    console().print(table)


class _Progress(Progress):
    """Bars on a terminal; elsewhere a line every half minute: "check members: 5 of 20, 0:01:30 left".

    Args:
        columns: of a bar.
        lines: whether to print lines.
        figure: writes a number of steps or bytes.
        settings: of rich's class.
    """

    def __init__(self, *columns: Any, lines: bool, figure: Callable[[float], str], **settings: Any) -> None:
        super().__init__(*columns, **settings)
        self._lines, self._figure = lines, figure
        self._said = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a task, as rich's method does."""
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Count a task's steps, as rich's method does."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        if not self._lines or time.monotonic() - self._said < _EVERY_S:
            return
        self.say(task_id)

    def say(self, task_id: TaskID) -> None:
        """Print how far a task is, where there are no bars."""
        if not self._lines:
            return
        self._said = time.monotonic()
        task = next((task for task in self.tasks if task.id == task_id), None)
        if task is None or task.finished:
            return
        elapsed = task.elapsed or 0.0
        if task.total is None:
            self._line(f"{task.description}: for {timedelta(seconds=round(elapsed))} now")
            return
        # rich counts the time left from the last steps; from the first ones it is known at once.
        share = task.completed / task.total if task.total else 0.0
        left = f", {timedelta(seconds=round(elapsed * (1 / share - 1)))} left" if share else ""
        figures = f"{self._figure(task.completed)} of {self._figure(task.total)}"
        self._line(f"{task.description}: {figures}{left}")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)


def progress(*, transient: bool = False, shown: bool = True) -> Progress:
    """Return a progress display with count, elapsed and remaining time.

    Args:
        transient: remove the display when it ends.
        shown: False draws nothing. Two displays at once would overwrite each other.
    """
    return _Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(),
        transient=transient,
        disable=not shown or not is_watched(),
        lines=shown and not is_watched(),
        figure=lambda count: f"{count:g}",
    )


def transfer() -> Progress:
    """Return a progress display of bytes, with speed and remaining time."""
    return _Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console(),
        disable=not is_watched(),
        lines=not is_watched(),
        figure=amount,
    )


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show that the block still works, and for how long, where nobody can count its steps.

    On a terminal a spinner with the elapsed time, elsewhere a line every half minute.
    """
    with progress_of_unknown_length() as display:
        task = display.add_task(description, total=None)
        over = threading.Event()

        def tell() -> None:
            while not over.wait(_EVERY_S):
                display.say(task)

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def progress_of_unknown_length() -> _Progress:
    """Return a display that vanishes when its work is done."""
    watched = is_watched()
    return _Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console(),
        transient=True,
        disable=not watched,
        lines=not watched,
        figure=str,
    )


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Yield items while a progress bar counts them."""
    with progress() as display:
        task = display.add_task(description, total=total, note="")
        for item in items:
            yield item
            display.advance(task)
