"""Write the page of one run of predict.py, on Kaggle or here: one HTML file made from its report.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from kit import ensemble as ensembles
from kit.artefacts import write_bytes
from kit.competitions import of
from kit.errors import KitError
from kit.local.pages.gallery import PICTURES, Gallery
from kit.local.pages.render import render
from submission.report.pictures import gallery_of
from submission.report.run_part import damaged, part_of, read_run


def write_run_page(
    report: Path,
    out: Path,
    *,
    data: Path | None = None,
    submission: Path | None = None,
    pictures: int = PICTURES,
) -> None:
    """Write the page.

    Args:
        report: report.json of the run.
        out: the HTML file.
        data: the competition's folder; None: no pictures of images.
        submission: the run's file; None: the one beside the report.
        pictures: images with a picture, at most.

    Raises:
        KitError: a file is missing or damaged, or `out` cannot be written.
    """
    run = read_run(report)
    shown: Gallery | None = None
    if data is not None:
        competition = of(ensembles.from_dict(_ensemble(run, report), where=report))
        file = submission or report.with_name(competition.format.submission.file)
        shown = gallery_of(competition.name, competition, data, file, pictures)
    template = Path(__file__).with_name("run_page.html")
    part, name = part_of(run, report), run.get("competition", "it did not begin")
    try:
        page = render(template, name=name, file=report.name, part=part, gallery_of=shown)
    except (UndefinedError, TypeError, ValueError) as error:
        raise damaged(error, report) from error
    # An image's name that is not UTF-8 is a lone half of a pair in report.json, which no page can hold.
    write_bytes(out, page.encode("utf-8", "backslashreplace"))


def _ensemble(run: Mapping[str, Any], where: Path) -> Any:
    if "ensemble" not in run:
        raise KitError(
            "the run ended before it had an ensemble, so there are no images to show",
            where=where,
            fix="leave out --data",
        )
    return run["ensemble"]
