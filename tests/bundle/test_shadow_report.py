"""The summary of the shadow tables: images that agree share a row, and empty columns are left out."""

import io

from rich.console import Console

from bundle.shadow import Shadow
from bundle.shadow_report import summary
from kit.local import targets

FIRST, SECOND, THIRD = targets.known()[:3]
NUMPY = Shadow(name="numpy", image="2.4", ours="2.3", action="image keeps its own", why="never displaced")
TIMM = Shadow(name="timm", image="1.0", ours="1.1", action="ours in front", why="another version is pinned")


def text_of(tables):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary(tables))
    return console.export_text()


def test_images_that_agree_share_a_row_and_empty_columns_are_left_out():
    text = text_of([(FIRST, [NUMPY]), (SECOND, [NUMPY]), (THIRD, [NUMPY])])
    assert "all 3" in text
    assert text.count("numpy") == 1
    assert "ours in front" not in text
    assert "conflicts" not in text


def test_images_that_differ_are_named():
    lines = text_of([(FIRST, [NUMPY]), (SECOND, [NUMPY, TIMM]), (THIRD, [NUMPY])]).splitlines()
    (shared,) = [line for line in lines if f"{FIRST.name}," in line]
    (alone,) = [line for line in lines if "timm" in line]
    assert THIRD.name in shared
    assert SECOND.name in alone
    assert "ours in front" in "".join(lines)


def test_no_image_gives_a_table_without_rows():
    assert "all 0" not in text_of([])
