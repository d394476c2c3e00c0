"""Progress and messages of the local commands, drawn by rich. Kaggle's side logs plain lines instead."""

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
    """A console on stderr, so that stdout stays for results others parse."""
    return Console(stderr=True)


def show_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stderr; its first column, the names, is never broken."""
    table = Table(title=title)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)


def progress(*, transient: bool = False, shown: bool = True) -> Progress:
    """A progress display with count, elapsed and remaining time, or none (two at once would clash)."""
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
    """A progress display of bytes, with speed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console(),
    )


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Yield `items` while a bar counts them."""
    with progress() as display:
        task = display.add_task(description, total=total, note="")
        for item in items:
            yield item
            display.advance(task)
