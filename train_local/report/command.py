"""The verb `report`, and the page that `train-all` leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from kit.command_line import option
from kit.errors import KitError
from kit.typed_json import at_least

if TYPE_CHECKING:
    from train_local.jobs.job import Job
    from train_local.jobs.scheduler import Failure

PAGE = "training.html"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one HTML page about all runs: scores, curves, pictures, the ladder, recipes; at any time."""

    prepared: tuple[Path, ...] = field(
        metadata=option("folders that `prepare` wrote, one per competition", metavar="DIR")
    )
    runs: Path = field(metadata=option("folder of all runs: DIR/COMPETITION/RECIPE/foldK", metavar="DIR"))
    dist: Path | None = field(
        default=None,
        metadata=option(
            "folder of the ensembles, DIR/COMPETITION/ensemble.json (default: --runs)", metavar="DIR"
        ),
    )
    out: Path = field(metadata=option("the HTML file to write", metavar="FILE"))
    pictures: Annotated[int, at_least(0)] = field(
        default=24,
        metadata=option("images with a picture, at most: two of three are the worst", metavar="N"),
    )


def report(options: Report) -> int:
    """Write the page and print its path.

    Raises:
        KitError: a prepared folder is missing, or the page cannot be written.
    """
    from kit.local.console import working
    from train_local.data import prepared
    from train_local.report.chapter import Source
    from train_local.report.page import write_report

    names = {folder: prepared.load(folder).competition for folder in options.prepared}
    if not options.runs.is_dir():
        raise KitError("there are no runs", where=options.runs, fix="name the `--out` of `train-all`")
    sources = [
        Source(name, options.runs / name, folder, (options.dist or options.runs) / name / "ensemble.json")
        for folder, name in names.items()
    ]
    with working("reading runs and drawing the page"):
        write_report(options.out, sources, pictures=options.pictures)
    print(options.out)
    return 0


def report_jobs(out: Path, jobs: Sequence[Job], failures: Mapping[str, Failure], runs: Path) -> None:
    """Write the page about the jobs of a plan.

    Args:
        out: the HTML file.
        jobs: of the plan.
        failures: name of a job -> why it failed.
        runs: folder of all runs.

    Raises:
        KitError: the page cannot be written.
    """
    from train_local.report.chapter import Source
    from train_local.report.page import FailedJob, write_report

    ensembles = {job.competition: job.products[0] for job in jobs if job.kind == "ensemble"}
    prepared = {job.competition: job.data for job in jobs}
    sources = [
        Source(name, runs / name, folder, ensembles.get(name, runs / name / "ensemble.json"))
        for name, folder in prepared.items()
    ]
    failed = [FailedJob(name, item.problem, item.log, item.fix) for name, item in failures.items()]
    write_report(out, sources, failed=failed)
