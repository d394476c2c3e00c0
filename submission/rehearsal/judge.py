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
        "valid", "findings", "score" (None without a truth) and, then, "no_score".
    """
    if not submission.is_file():
        return {"valid": False, "findings": [f"error: no {submission.name} was written"], "score": None}
    ids = competition.listing(data).ids
    if not ids:  # an empty test set: a header, and no row
        header = submission.read_text(encoding="utf-8").strip() == ",".join(competition.columns)
        findings = [] if header else ["error: there is no image, and the file has more than a header"]
        return {"valid": header, "findings": findings, "score": None}
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
        result["no_score"] = error.problem
        return result
    if report.ok:
        result["score"] = asdict(score(competition, truth, predictions))
    return result
