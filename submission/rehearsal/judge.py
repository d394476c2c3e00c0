"""Judges what a rehearsal wrote: is the submission valid, and what would it score?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.scores import score
from submission.runtime.result.submission_file import guess_sizes, image_sizes


def judge(competition: Competition, data: Path, submission: Path, truth_in: Path) -> dict[str, Any]:
    """Validate a submission, and score it if there is a truth for all its images.

    Args:
        competition: which one.
        data: the competition's folder as predict.py saw it.
        submission: the file.
        truth_in: the competition's folder as it is here, perhaps with the truth of the test images.

    Returns:
        "valid", "findings", "score" and, where it is None, "no_score": why, and how to get one.
    """
    if not submission.is_file():
        problem = f"no {submission.name} was written"
        return {"valid": False, "findings": [f"error: {problem}"], "score": None, "no_score": [problem]}
    ids = competition.listing(data).ids
    if not ids:  # an empty test set: a header, and no row
        header = submission.read_text(encoding="utf-8").strip() == ",".join(competition.columns)
        findings = [] if header else ["error: there is no image, and the file has more than a header"]
        return {"valid": header, "findings": findings, "score": None, "no_score": ["there is no image"]}
    sizes, _ = image_sizes(competition, data, ids)
    report, predictions = competition.inspect(submission, ids, guess_sizes(ids, sizes))
    result: dict[str, Any] = {
        "valid": report.ok,
        "findings": [str(finding) for finding in report.findings],
        "score": None,
    }
    try:
        truth = LabelledData(competition, truth_in).truth(ids)
    except KitError as error:
        return {**result, "no_score": [error.problem, error.fix]}
    if not report.ok:
        return {**result, "no_score": ["the submission is not valid"]}
    return {**result, "score": asdict(score(competition, truth, predictions))}
