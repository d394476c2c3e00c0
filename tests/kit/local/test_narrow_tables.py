"""Tables on terminals of any width: no word is folded or cut off."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kit.local.narrow_tables import _shared, fitted

ROWS = [("kaggle-cp311-torch2.8", "12.3 s", "[lung] all imported"), ("kaggle-2026-10", "1.0 s", "")]
HEADINGS = ("torch of", "installed in", "result")


def drawn(width, *, no_wrap=False, **settings):
    table = Table(title="the bundle alone", **settings)
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=no_wrap, overflow="fold")
    for row in ROWS:
        table.add_row(*map(Text, row))
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(fitted(table, console))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [120, 62])
def test_a_table_that_has_room_stays_a_table(width):
    text = drawn(width)
    assert "┃" in text
    assert all(word in text for row in (*ROWS, HEADINGS) for cell in row for word in cell.split())


@pytest.mark.parametrize("width", [47, 40])
def test_without_rules_a_table_needs_less_room(width):
    lines = [line.rstrip() for line in drawn(width).splitlines()]
    assert max(map(len, lines)) <= width
    assert lines[-1].split() == ["kaggle-2026-10", "1.0", "s"]
    row = " ".join(lines)
    assert "kaggle-cp311-torch2.8 12.3 s" in row
    assert "┃" not in row


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 40)), min_size=1, max_size=9), st.integers(0, 200)
)
def test_room_is_shared_so_that_no_word_is_folded(columns, more):
    sizes = [Measurement(least, least + extra) for least, extra in columns]
    room = sum(size.minimum for size in sizes) + more
    widths = _shared(sizes, room)
    assert all(size.minimum <= width <= size.maximum for size, width in zip(sizes, widths, strict=True))
    assert sum(widths) == min(room, sum(size.maximum for size in sizes))


@pytest.mark.parametrize(("width", "no_wrap"), [(39, False), (49, True), (36, False)])
def test_a_row_becomes_lines_where_a_word_would_be_folded(width, no_wrap):
    text = drawn(width, no_wrap=no_wrap, caption="left to the image: numpy")
    assert "┃" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines == [
        "the bundle alone",
        "torch of      kaggle-cp311-torch2.8",
        "installed in  12.3 s",
        "result        [lung] all imported",
        "",
        "torch of      kaggle-2026-10",
        "installed in  1.0 s",
        "result",
        "",
        "left to the image: numpy",
    ]


def test_a_table_without_headings_stays_as_it_is():
    assert "│" in drawn(30, show_header=False)
