"""What to do about Kaggle's texts for submissions that it refused, or ran and did not score."""

from __future__ import annotations

from kit.errors import KitError
from submission.submit.log import Submission

_FAILED = (
    # (words in Kaggle's text, what to do); the first that fits is told. The first six are Kaggle's classes.
    ("timeout", "the hidden run took too long: render with a smaller --budget, or start with cheaper rungs"),
    ("threw exception", "predict.py failed on the hidden images only: rehearse with odd and missing images"),
    (
        "exceeded allowed compute",
        "memory or disk was too small: use smaller batches, fewer workers or fewer members",
    ),
    (
        "csv not found",
        "submission.csv was not at the top of the output: push the version again, then submit it",
    ),
    (
        "scoring error",
        "the file's format was refused: check it with `python -m kit validate` on all test images",
    ),
    ("kaggle error", "a fault of Kaggle's: push and submit again; the slot is given back"),
    ("requested more", "Kaggle had no such machine free: submit again later, or with another --accelerator"),
    ("quota", "wait for the weekly reset, or use another accelerator"),
)
_REFUSED = (
    ("internet", "push the kernel with the internet off (submit does), or check the competition's rules"),
    ("allowance", "run this again after 00:00 UTC: the day's submissions are used"),
    ("limit", "run this again after 00:00 UTC: the day's submissions are used"),
    ("rules", "accept the competition's rules on its page, then run this again"),
    ("not found", "check --competition, and that the version's run wrote the file"),
    ("permission", "join the competition with this account, then run this again"),
    ("deadline", "the competition takes no submissions any more"),
)
_OTHERWISE = "read the page of the submission; run `submissions` for the log"


def refusal(entry: Submission, reason: str) -> KitError:
    """Return the error for a submission that Kaggle did not take; no slot is used."""
    return KitError(
        f"Kaggle refused to submit {entry.kernel} version {entry.kernel_version}: {reason or 'no reason'}",
        where=entry.competition,
        fix=_advice(_REFUSED, reason),
    )


def failed(entry: Submission, words: str) -> KitError:
    """Return the error for a submission in ERROR."""
    return KitError(
        f"the submission {entry.id} failed: {words}", where=entry.competition, fix=_advice(_FAILED, words)
    )


def unscored(entry: Submission, words: str) -> KitError:
    """Return the error for a submission that is COMPLETE and has no score."""
    return KitError(
        f"Kaggle calls the submission {entry.id} complete, and it has no score: {words}",
        where=entry.competition,
        fix=_advice(_FAILED, words),
    )


def _advice(table: tuple[tuple[str, str], ...], words: str) -> str:
    low = words.lower()
    return next((fix for part, fix in table if part in low), _OTHERWISE)
