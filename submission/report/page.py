"""Write the page: one HTML file without references to other files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kit.artefacts import write_text
from kit.local.pages.gallery import PICTURES
from kit.local.pages.render import render
from submission.report.chapter import Chapter, Sources, gather


def write_report(out: Path, chapters: Sequence[Sources], *, pictures: int = PICTURES) -> None:
    """Write the page.

    Args:
        out: the HTML file.
        chapters: one for each competition.
        pictures: images of a chapter with a picture, at most.

    Raises:
        KitError: a file of the chain is missing or damaged, or `out` cannot be written.
    """
    write_text(out, page([gather(sources, pictures=pictures) for sources in chapters]))


def page(chapters: Sequence[Chapter]) -> str:
    """Return the HTML for some chapters."""
    return render(Path(__file__).with_name("page.html"), chapters=chapters)
