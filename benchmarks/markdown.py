"""Make tables in Markdown, and read and write the blocks of docs/*.md that commands write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kit.errors import KitError

DOCS = Path(__file__).parents[1] / "docs"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> str:
    """Return a table; the columns from number `numbers_from` on (counted from 0) are aligned to the right."""
    rule = ["---" if column < numbers_from else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def block(path: Path, name: str) -> str:
    """Return the text between the markers of a block.

    Raises:
        KitError: the file has no such block.
    """
    return _parts(path, name)[1].strip("\n")


def write_block(path: Path, name: str, text: str) -> None:
    """Replace the text between the markers of a block.

    Raises:
        KitError: the file has no such block.
    """
    before, _, after = _parts(path, name)
    path.write_text(f"{before}\n{text.strip()}\n{after}")


def _parts(path: Path, name: str) -> tuple[str, str, str]:
    # "text <!-- rle -->\n| a |\n<!-- end of rle --> more" is cut into "text <!-- rle -->", "\n| a |\n" and
    # "<!-- end of rle --> more". The markers are comments, so readers of the page don't see them.
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if not path.is_file():
        raise KitError("no such file", where=path, fix=f"make it, and put {begin} and {end} into it")
    text = path.read_text()
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise KitError(
            f"no block {name!r}", where=path, fix=f"put {begin} and {end} there once, in this order"
        )
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after
