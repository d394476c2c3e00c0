"""Write the page: one HTML file without references to other files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kit.artefacts import write_text
from submission.report.chapter import Chapter, Sources, gather
from submission.report.overlays import PREDICTION_RGB, TRUTH_RGB


def write_report(out: Path, chapters: Sequence[Sources], *, pictures: int = 6) -> None:
    """Write the page.

    Args:
        out: the HTML file.
        chapters: one for each competition.
        pictures: largest number of overlays in a chapter.

    Raises:
        KitError: a file of the chain is missing or damaged, or `out` cannot be written.
    """
    write_text(out, page([gather(sources, pictures=pictures) for sources in chapters]))


def page(chapters: Sequence[Chapter]) -> str:
    """Return the HTML for some chapters."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    return template.render(
        chapters=chapters, truth_colour=_css(TRUTH_RGB), prediction_colour=_css(PREDICTION_RGB)
    )


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
