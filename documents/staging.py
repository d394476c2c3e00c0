"""The folder that the site is built from: docs/ with the links that leave it made plain.

Pages link to sources, [`search.py`](../train_local/ensemble/search.py), which works where the repository is
read. The site has no sources, so such a link becomes its words; a link to what is not there is an error.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from kit.errors import KitError

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<to>\.\./[^)#\s]*)(?:#[^)]*)?\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def stage(root: Path, out: Path) -> None:
    """Copy docs/ into a folder, which is emptied first.

    Raises:
        KitError: a page links to a file that the repository does not have.
    """
    pages = root / "docs"
    made = {path: plain_links(path, root) for path in sorted(pages.rglob("*.md"))}
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(pages, out)
    for path, text in made.items():
        (out / path.relative_to(pages)).write_text(text, encoding="utf-8")


def plain_links(path: Path, root: Path) -> str:
    """Return the text of a page whose links out of docs/ are their words.

    Raises:
        KitError: one leads nowhere.
    """
    text = path.read_text(encoding="utf-8")

    def words(match: re.Match[str]) -> str:
        there = (path.parent / match["to"]).resolve()
        if not there.is_relative_to(root.resolve()) or not there.exists():
            raise KitError(
                f"the link [{match['text']}]({match['to']}) leads nowhere",
                where=path,
                fix="correct it; it is relative to the page",
            )
        return match["text"]

    pieces, at = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(words, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*pieces, _LINK.sub(words, text[at:])])
