"""Tables in Markdown, and the blocks of docs/*.md that commands write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kit.errors import KitError

DOCS = Path(__file__).parents[1] / "docs"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> str:
    """A table; columns from `numbers_from` on are aligned to the right."""
    rule = ["---" if column < numbers_from else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def block(path: Path, name: str) -> str:
    """What stands between the markers of a block.

    Raises:
        KitError: the file has no such block.
    """
    return _parts(path, name)[1].strip("\n")


def write_block(path: Path, name: str, text: str) -> None:
    """Put a text between the markers of a block.

    Raises:
        KitError: the file has no such block.
    """
    before, _, after = _parts(path, name)
    path.write_text(f"{before}\n{text.strip()}\n{after}")


def _parts(path: Path, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if not path.is_file():
        raise KitError("no such file", where=path, fix=f"make it, with {begin} and {end} around the table")
    text = path.read_text()
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise KitError(f"no block {name!r}", where=path, fix=f"put it between {begin} and {end}")
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after
