"""What to do about each reason for which a submission is not safe; the code says the reason alone."""

from __future__ import annotations

_TIME = (
    "put a cheaper member first (`ensemble`), or give `--budget` the seconds that the competition allows, if "
    "they are more"
)
_MEMORY = "leave out the largest member: run `ensemble` without it"
_LOG = "Read the last lines of the run's log and its `report.json`: the first problem there is the cause"
REMEDIES: tuple[tuple[str, str], ...] = (
    ("safe to send", "send it: `nox -s submit`"),
    ("NOT SAFE to send", "see the entry of what stands behind the colon"),
    ("not safe to submit", "see the entry of what stands behind the colon"),
    ("needs room for a machine", f"Kaggle's machine may be that much slower than yours: {_TIME}"),
    ("not even the first rung", _TIME),
    ("too long", _TIME),
    ("its time was up", _TIME),
    ("reached <name>", "nothing if it is the rung you wanted; a higher one needs more time"),
    ("no rung was finished", f"{_LOG}. If time is the cause: {_TIME}"),
    ("GB of memory were in use", _MEMORY),
    ("memory ran out", _MEMORY),
    ("nearly all the memory", _MEMORY),
    ("disk held", "leave out a member: each writes what it predicts of an image there"),
    ("no room for the whole report", "leave fewer files in the output folder"),
    ("no pass could be measured", f"No image could be predicted in the dry run. {_LOG}"),
    ("images have the fallback row", f"These images could not be predicted. {_LOG}"),
    ("ended with exit code", _LOG),
    ("the file is not valid", "`python -m kit validate` says which rows are wrong, and why"),
    ("there is no report.json", _LOG),
)
"""(piece of the verdict, remedy): the first piece that a verdict has decides."""


def remedy(problem: str) -> str:
    """Return what to do about a verdict.

    Raises:
        LookupError: this module knows none.
    """
    for piece, told in REMEDIES:
        if piece in problem:
            return told
    raise LookupError(f"{__name__} has no remedy for the verdict: {problem}")
