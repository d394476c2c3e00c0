"""Progress bars and tables of the local commands, drawn by rich. On Kaggle, predict.py logs plain lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

T = TypeVar("T")


def console() -> Console:
    """Return a console on stderr: stdout is for results that other programs read."""
    return Console(stderr=True)


def amount(size: float) -> str:
    """Return a number of bytes for a reader: "312 bytes", "4.2 MB", "17.0 GB"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} bytes"


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stderr. The first column holds the names, and its lines are not wrapped."""
    table = Table(title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    for row in rows:
        # rich reads "[lung]" as a style and would print nothing for it.
        table.add_row(*map(escape, row))
    console().print(table)


def progress(*, transient: bool = False, shown: bool = True) -> Progress:
    """Return a progress display with count, elapsed and remaining time.

    Args:
        transient: remove the display when it ends.
        shown: False draws nothing. Two displays at once would overwrite each other.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(),
        transient=transient,
        disable=not shown,
    )


def transfer() -> Progress:
    """Return a progress display of bytes, with speed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console(),
    )


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Yield items while a progress bar counts them."""
    with progress() as display:
        task = display.add_task(description, total=total, note="")
        for item in items:
            yield item
            display.advance(task)
