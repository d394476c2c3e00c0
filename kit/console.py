"""Progress and messages of the local commands, drawn by rich. Kaggle's side logs plain lines instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


def console() -> Console:
    """A console on stderr, so that stdout stays for results others parse."""
    return Console(stderr=True)


def progress(*, transient: bool = False) -> Progress:
    """A progress display with count, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(),
        transient=transient,
    )


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Yield `items` while a bar counts them."""
    with progress() as display:
        task = display.add_task(description, total=total, note="")
        for item in items:
            yield item
            display.advance(task)
