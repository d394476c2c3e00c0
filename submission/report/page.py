"""The page itself: chapters into one HTML file without outside references."""

from __future__ import annotations

import argparse
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
        pictures: overlays in a chapter, at most.

    Raises:
        KitError: a file of the chain is missing or damaged, or `out` cannot be written.
    """
    write_text(out, page([gather(sources, pictures=pictures) for sources in chapters]))


def page(chapters: Sequence[Chapter]) -> str:
    """The HTML of gathered chapters."""
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


def add_report_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The verb `report` of `python -m submission`."""
    parser = verbs.add_parser("report", help="one self-contained HTML page about a run")
    parser.add_argument("--out", type=Path, required=True, help="the HTML file")
    parser.add_argument(
        "--chapter",
        nargs=4,
        action="append",
        required=True,
        metavar=("COMPETITION", "DATA", "DIST", "RUNS"),
        help="a competition's name, data folder, dist folder and training runs; once for each competition",
    )
    parser.add_argument("--pictures", type=int, default=6, help="overlays in a chapter, at most")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    sources = [Sources(name, Path(data), Path(dist), Path(runs)) for name, data, dist, runs in args.chapter]
    write_report(args.out, sources, pictures=args.pictures)
    print(args.out)
    return 0
