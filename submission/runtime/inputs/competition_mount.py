"""Finds the competition's folder, in every layout of /kaggle/input seen so far."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kit.competitions.folder import CompetitionFolder
from kit.competitions.report import Report
from kit.errors import KitError
from submission.runtime.inputs.mounts import folders_below

DEPTH = 5


def find_competition(root: Path, competition: CompetitionFolder) -> Path:
    """Return the competition's folder below an input folder, after a check of its test part.

    Args:
        root: /kaggle/input, or a folder of such a shape, or the competition's folder itself.
        competition: which one.

    Raises:
        KitError: there is no such folder, or the data is of another competition.
    """
    if not root.is_dir():
        raise KitError(
            "the input folder does not exist",
            where=root,
            fix="on Kaggle, add the competition as an input; elsewhere, give its folder with --input",
        )
    reports: list[tuple[Path, Report]] = []
    for folder in _competition_places(root, competition):
        report = Report(str(folder))
        if competition.check_folder(report, folder):
            return folder
        reports.append((folder, report))
    if not reports:
        listing = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        raise KitError(
            f"the data of {competition.slug} is not among the inputs; found: {listing}",
            where=root,
            fix=f"on Kaggle, use Add Input > Competitions > {competition.slug}; elsewhere, give --input",
        )
    folder, report = reports[0]
    first = next(finding for finding in report.findings if finding.level == "error")
    raise KitError(
        f"this folder is not the data of competition {competition.slug}: {first.message}",
        where=first.where if first.where.startswith(str(folder)) else folder,
        fix=f"predict.py was rendered for {competition.slug}: attach that competition's data and no other",
    )


def _competition_places(root: Path, competition: CompetitionFolder) -> Iterator[Path]:
    """Yield folders that may be the competition's, the most likely ones first. Search only if those fail."""
    slug, sample = competition.slug, competition.format.submission.sample
    known = [root / "competitions" / slug, root / slug]
    yield from (folder for folder in known if folder.is_dir())
    walked = [root, *folders_below(root, DEPTH)]
    yield from (folder for folder in walked if folder.name == slug and folder not in known)
    yield from (folder for folder in walked if folder.name != slug and (folder / sample).is_file())
