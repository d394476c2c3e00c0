"""Pieces of Markdown that the made pages share."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

GENERATED = "`python -m documents write` writes this page from the code."


def introduction(root: Path, name: str) -> str:
    """Return what a made page begins with: documents/introductions/NAME.md."""
    return (root / "documents" / "introductions" / f"{name}.md").read_text(encoding="utf-8")


def code(text: str) -> str:
    """Return a text as code that may stand in a table, whatever it holds.

    A text with ` inside is put between two of them. GitHub and Python-Markdown disagree about a | in a code
    span of a table, so it is written in HTML there.
    """
    text = " ".join(text.split())
    if "|" in text:
        return f"<code>{html.escape(text, quote=False).replace('|', '&#124;')}</code>"
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def cell(text: str) -> str:
    """Return a sentence for a table: marks of Markdown as they look, its code spans as code."""
    pieces = " ".join(text.split()).split("`")
    # "use `--jobs` or <less>" -> ["use ", "--jobs", " or <less>"]: those at odd places are code.
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            marked = re.sub(r"([\\*_\[\]#~])", r"\\\1", piece)
            pieces[index] = html.escape(marked, quote=False).replace("|", "&#124;")
        else:
            pieces[index] = code(piece)
    return "".join(pieces)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a line for each row."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
