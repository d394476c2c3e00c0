"""What a commit run has to show before its version is submitted: after that, only a score comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.competitions import NamesCompetition, folder_of, server
from kit.errors import KitError

SUBMISSION, REPORT = "submission.csv", "report.json"


@dataclass(frozen=True)
class CommitRun:
    """The output of a commit run that may be submitted.

    Attributes:
        report: content of report.json.
        notes: what the user should know of it.
    """

    report: dict[str, Any]
    notes: tuple[str, ...]


def submission_name(made: NamesCompetition) -> str:
    """Return the name of the file that is scored: predict.py's, or that of the competition's gateway."""
    format_ = folder_of(made).format
    return format_.submission.file if format_.server is None else server.SUBMISSION


def read_output(
    files: Sequence[Path],
    *,
    url: str,
    accelerator: str | None,
    image: str | None,
    submission: str = SUBMISSION,
) -> CommitRun:
    """Check the output of a commit run.

    Args:
        files: all of them, as they were fetched.
        submission: name of the file that is scored.
        url: of the kernel, for messages.
        accelerator: asked for; None for a CPU session.
        image: container reference that was asked for; None for any.

    Raises:
        KitError: a file is missing or empty, predict.py did not end well or had not the machine or image that
            was asked for.
    """
    by_name = {path.name: path for path in files}
    for name in (submission, REPORT):
        if name not in by_name or by_name[name].stat().st_size == 0:
            raise KitError(
                f"the commit run left no {name}: Kaggle would answer 'Submission CSV Not Found'"
                if name == submission
                else f"the commit run left no {name}, so nothing tells how it went",
                where=url,
                fix="read the run's log on that page, mend what it says, and push again",
            )
    report = read_json(by_name[REPORT])
    if not isinstance(report, Mapping) or not isinstance(report.get("ensemble"), Mapping):
        raise KitError("this is no report of predict.py", where=by_name[REPORT], fix="render and push again")
    if report.get("exit_code") != 0:
        problems = [str(item.get("what")) for item in report.get("problems", ())]
        raise KitError(
            f"predict.py ended with the code {report.get('exit_code', 'unknown')}: "
            f"{problems[-1] if problems else 'see its log'}",
            where=url,
            fix="mend what the run's log says, render and push again",
        )
    _require_machine(report, accelerator, url)
    _require_image(report, image, url)
    return CommitRun(dict(report), tuple(_notes(report)))


def _require_machine(report: Mapping[str, Any], accelerator: str | None, url: str) -> None:
    used = str((report.get("device") or {}).get("device") or "")
    wants_gpu = (accelerator or "").startswith("Nvidia")
    if used and wants_gpu != used.startswith("cuda"):
        raise KitError(
            f"{accelerator or 'a CPU session'} was asked for, and predict.py computed on {used}",
            where=url,
            fix="look at the accelerator on that page: Kaggle may have given another machine",
        )


def _require_image(report: Mapping[str, Any], image: str | None, url: str) -> None:
    used = report.get("image")
    if image is not None and used and str(used).rpartition("@")[2] != image.rpartition("@")[2]:
        raise KitError(
            f"the run had the image {used}, and {image} was asked for",
            where=url,
            fix="Kaggle may no longer offer that image; probe the present one and build for it",
        )


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    rungs = report.get("rungs", ())
    done = sum(rung.get("state") == "done" for rung in rungs)
    seconds = report.get("wall_seconds") or 0
    yield f"commit run: {done} of {len(rungs)} rungs done in {seconds:.0f} s; {report.get('state')}"
    images = report.get("images", ())
    predicted = sum(item.get("row") != "fallback" for item in images)
    if not predicted:
        yield "the commit run had no image to predict, so it tells nothing about the prediction itself"
    elif predicted < len(images):
        yield f"{len(images) - predicted} of {len(images)} rows are the fallback; report.json says why"
    for problem in report.get("problems", ()):
        yield f"problem in the commit run: {problem.get('what')}"
    if report.get("rerun"):
        yield "the report says it comes from a hidden run; that should not be possible"
