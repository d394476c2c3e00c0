"""Tables on a terminal that is too narrow for them: without rules, or each row as lines of "heading  value".

rich would fold words in their middle, or cut them off:

    │  Python │ torch of │ installe │        Python        3.13.1
    │         │          │     d in │   ->   torch of      kaggle-2026-10
    │  3.13.1 │ kaggle-2 │   12.3 s │        installed in  12.3 s
    │         │   026-10 │          │

Rules and blanks take three characters a column; without them one blank between columns is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text


def fitted(table: Table, console: Console) -> RenderableType:
    """Return a table with rules, without, or as its rows one below the other: the first that folds no word.

    Args:
        table: with a heading for each column; one without headings stays as it is.
        console: where it will be printed.
    """
    if not table.show_header or not table.columns:
        return table
    sizes = [_sizes(column, console) for column in table.columns]
    count, words = len(sizes), sum(size.minimum for size in sizes)
    # With rules each column has two blanks and a rule, and there is a last rule.
    if (room := console.width - 3 * count - 1) >= words:
        return _with_widths(table, _shared(sizes, room))
    if (room := console.width - count + 1) >= words:
        dense = _with_widths(table, _shared(sizes, room))
        dense.box, dense.padding, dense.pad_edge = None, (0, 1, 0, 0), False
        return dense
    parts: list[RenderableType] = []
    if table.title:
        parts.append(_text(table.title, "table.title"))
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        row = Table.grid(padding=(0, 2))
        row.add_column(style="dim", no_wrap=True)
        row.add_column(overflow="fold")
        for column, cell in zip(table.columns, cells, strict=True):
            row.add_row(column.header, cell)
        parts += [row, ""]
    if table.caption:
        parts.append(_text(table.caption, "table.caption"))
    return Group(*parts)


def _sizes(column: Column, console: Console) -> Measurement:
    """Return the widths of a column's longest word and line; of the line twice if it may not be folded."""
    found = [Measurement.get(console, console.options, cell) for cell in (column.header, *column.cells)]
    most = max(item.maximum for item in found)
    return Measurement(most if column.no_wrap else max(item.minimum for item in found), most)


def _shared(sizes: Sequence[Measurement], room: int) -> list[int]:
    """Return widths that give each column its longest word; what is left goes first to who needs least more.

    With longest words of 5 and 8, longest lines of 7 and 30, and room for 20: 7 and 13. rich itself takes
    room from the widest column until its words are folded.
    """
    widths = [size.minimum for size in sizes]
    left = room - sum(widths)
    order = sorted(range(len(sizes)), key=lambda place: sizes[place].maximum - sizes[place].minimum)
    for waiting, place in zip(range(len(order), 0, -1), order, strict=True):
        more = min(sizes[place].maximum - sizes[place].minimum, left // waiting)
        widths[place] += more
        left -= more
    return widths


def _with_widths(table: Table, widths: Sequence[int]) -> Table:
    changed = copy(table)
    changed.columns = [copy(column) for column in table.columns]
    for column, width in zip(changed.columns, widths, strict=True):
        column.width = width
    return changed


def _text(value: str | Text, style: str) -> Text:
    return Text.from_markup(value, style=style) if isinstance(value, str) else value
