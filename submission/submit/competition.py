"""Submit a version of a kernel to its competition, once, and wait for what comes of it.

Kaggle has no way to ask for the same submission twice: each call that comes through uses one of the day's few
slots, whether or not its answer arrives. So each submission carries an id of its own in its description, the
id is in the log before the call, and after an unclear end it is looked for. What is not found is not sent
again by itself: a call may come through after we looked.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kit.errors import KitError
from kit.local.kaggle.kernel_state import now
from kit.local.kaggle.outcome import CutOff, Refused, Unclear, Unreachable
from kit.local.kaggle.wire import Wire
from kit.local.wording import counted
from submission.submit import errors
from submission.submit.log import Log, Submission

_SHORTEST_POLL = 5.0
"""Seconds between two looks at a submission; Kaggle asks its own client for at least this."""
_PAGE = 100


def new_id() -> str:
    """Return an id that no other submission has."""
    return f"kit-{secrets.token_hex(6)}"


def submit_once(
    wire: Wire, log: Log, entry: Submission, *, again: bool, say: Callable[[str], None]
) -> Submission:
    """Send a submission, unless the log or Kaggle knows that it was sent.

    Args:
        wire: to Kaggle.
        log: held by the caller.
        entry: what is to be submitted, at the stage "asked".
        again: send it although an earlier call for the same version had no answer: the user looked.
        say: takes progress.

    Returns:
        the submission that Kaggle has, with its `ref`; perhaps one of an earlier command.

    Raises:
        KitError: Kaggle refused it, no slot is left today, or nobody knows whether Kaggle took it.
    """
    listed = list(_listed(wire, entry.competition))
    for known in log.entries():
        if _same(known, entry) and (there := _resumed(log, known, listed, again=again)) is not None:
            say(f"{there.kernel} version {there.kernel_version} was submitted as {there.id}; not sent again")
            return there
    _require_slot(wire, entry.competition, say)
    log.add(entry)
    say(f"submitting {entry.kernel} version {entry.kernel_version} as {entry.id}")
    owner, _, name = entry.kernel.partition("/")
    request = {
        "competitionName": entry.competition,
        "kernelOwner": owner,
        "kernelSlug": name,
        "kernelVersion": entry.kernel_version,
        "fileName": entry.file,
        "submissionDescription": entry.described(),
    }
    try:
        answer = wire.rpc("competitions.CreateCodeSubmission", request, writes=True).value
    except Unclear as unclear:
        return _after_unclear(wire, log, entry, unclear)
    except (Refused, Unreachable) as refused:
        reason = refused.reason if isinstance(refused, Refused) else refused.problem
        log.update(entry, now(), stage="failed", error=reason)
        raise errors.refusal(entry, reason) if isinstance(refused, Refused) else refused from refused
    ref = _number(answer.get("ref"))
    if not ref:
        return _after_unclear(
            wire, log, entry, Unclear("competitions.CreateCodeSubmission", "no number came back")
        )
    return log.update(entry, now(), stage="submitted", ref=ref)


def wait_for_score(
    wire: Wire, log: Log, entry: Submission, *, limit_s: float, say: Callable[[str], None]
) -> Submission:
    """Wait until a submission has a score.

    Args:
        wire: to Kaggle.
        log: of submissions.
        entry: with its `ref`.
        limit_s: how long to wait, in seconds.
        say: takes progress.

    Returns:
        the submission at the stage "scored".

    Raises:
        KitError: it failed, with Kaggle's words and what to do; or it has no score yet.
    """
    began, told = time.monotonic(), ""
    complete_since: float | None = None
    pause = max(wire.patience.poll, min(_SHORTEST_POLL, wire.patience.settle))
    while True:
        try:
            value = _get(wire, entry)
        except CutOff:
            raise _late(entry, told, time.monotonic() - began) from None
        status = str(value.get("status") or "PENDING").upper() if value is not None else "not seen yet"
        if status != told:
            say(f"{entry.id} (number {entry.ref}): {status.lower()}")
            told = status
        entry, scored = _noted(log, entry, value)
        if scored:
            return entry
        waited = time.monotonic() - began
        if status == "COMPLETE":
            # The score may come some seconds after the status; after that, COMPLETE without one is a failure
            # that Kaggle calls a success.
            complete_since = waited if complete_since is None else complete_since
            if waited - complete_since >= wire.patience.settle:
                words = _words(value) or "no reason is given"
                entry = log.update(entry, now(), stage="failed", error=f"COMPLETE without a score: {words}")
                raise errors.unscored(entry, words)
        elif status == "ERROR":
            words = _words(value) or "no reason is given"
            entry = log.update(entry, now(), stage="failed", error=words)
            raise errors.failed(entry, words)
        if waited > limit_s or time.monotonic() + pause >= wire.ends:
            raise _late(entry, status, waited)
        time.sleep(pause)


def _late(entry: Submission, status: str, seconds: float) -> KitError:
    return KitError(
        f"{entry.id} has no score after {seconds:.0f} s; its status is {status.lower() or 'not known'}",
        where=_page(entry.competition),
        fix="run the same command again: it goes on waiting, and sends nothing twice",
    )


def refresh(wire: Wire, log: Log) -> list[Submission]:
    """Ask Kaggle for the present state of every submission of a log; returns them all.

    Raises:
        KitError: Kaggle could not be asked.
    """
    listed: dict[str, list[dict[str, Any]]] = {}
    for entry in log.entries():
        if entry.stage == "failed" or (entry.stage == "scored" and entry.private_score):
            continue
        if entry.competition not in listed:
            listed[entry.competition] = list(_listed(wire, entry.competition))
        value = _with_id(listed[entry.competition], entry)
        if value is None:
            continue
        found = entry
        if entry.stage == "asked":
            found = log.update(entry, now(), stage="submitted", ref=_number(value.get("ref")))
        changed, scored = _noted(log, found, value)
        if not scored and str(value.get("status") or "").upper() == "ERROR":
            log.update(changed, now(), stage="failed", error=_words(value) or "no reason is given")
    return log.entries()


def _same(known: Submission, entry: Submission) -> bool:
    one = (known.competition, known.kernel, known.kernel_version, known.file)
    return one == (entry.competition, entry.kernel, entry.kernel_version, entry.file)


def _resumed(log: Log, known: Submission, listed: list[dict[str, Any]], *, again: bool) -> Submission | None:
    """The earlier submission of the same version, if there is one that counts."""
    if known.stage == "failed":
        return None
    if known.stage != "asked":
        return known
    value = _with_id(listed, known)
    if value is not None:
        return log.update(known, now(), stage="submitted", ref=_number(value.get("ref")))
    if again:
        log.update(known, now(), stage="failed", error="not on Kaggle, as the user saw")
        return None
    raise KitError(
        f"{known.id} was about to be sent at {known.asked}, and Kaggle's list does not have it",
        where=_page(known.competition),
        fix=f"look there for {known.id}; if it is not there, run this again with --again",
    )


def _after_unclear(wire: Wire, log: Log, entry: Submission, unclear: KitError) -> Submission:
    """Look for a submission whose answer was lost; never send it again."""
    until = time.monotonic() + wire.patience.settle
    while True:
        value = _with_id(_listed(wire, entry.competition), entry)
        if value is not None:
            return log.update(entry, now(), stage="submitted", ref=_number(value.get("ref")))
        if time.monotonic() >= until:
            raise KitError(
                f"nobody knows whether Kaggle took the submission {entry.id}: {unclear.problem}",
                where=_page(entry.competition),
                fix=f"look there for {entry.id}; if it is there, run the same command again, which finds it; "
                "only if it is not there, add --again",
            ) from unclear
        time.sleep(min(wire.patience.poll, wire.patience.settle))


def _noted(log: Log, entry: Submission, value: Mapping[str, Any] | None) -> tuple[Submission, bool]:
    """Write scores into the log; whether the submission counts as scored."""
    if value is None or str(value.get("status") or "").upper() != "COMPLETE":
        return entry, False
    public = _score(value.get("publicScore"))
    if public is None:
        return entry, False
    private = _score(value.get("privateScore"))
    ref = entry.ref or _number(value.get("ref"))
    entry = log.update(
        entry, now(), stage="scored", ref=ref, public_score=public, private_score=private, error=None
    )
    return entry, True


def _get(wire: Wire, entry: Submission) -> dict[str, Any] | None:
    """Kaggle's present view of a submission; None while it is not shown yet."""
    try:
        value = wire.rpc("competitions.GetSubmission", {"ref": entry.ref}, never_empty=True).value
    except Refused as error:
        if error.status == 404:
            return None
        raise
    if entry.id not in str(value.get("description") or entry.id):
        raise KitError(
            f"the submission with the number {entry.ref} is another one: {value.get('description')!r}",
            where=_page(entry.competition),
            fix=f"look there for {entry.id}",
        )
    return value


def _listed(wire: Wire, competition: str) -> Iterator[dict[str, Any]]:
    """All submissions of the account's team, page after page."""
    asked: dict[str, Any] = {"competitionName": competition, "pageSize": _PAGE}
    tokens: set[str] = set()
    while True:
        value = wire.rpc("competitions.ListSubmissions", asked).value
        yield from (item for item in value.get("submissions") or () if isinstance(item, dict))
        token = str(value.get("nextPageToken") or "")
        if not token or token in tokens:
            return
        tokens.add(token)
        asked = {**asked, "pageToken": token}


def _with_id(
    listed: Iterator[dict[str, Any]] | list[dict[str, Any]], entry: Submission
) -> dict[str, Any] | None:
    return next((item for item in listed if entry.id in str(item.get("description") or "").split()), None)


def _require_slot(wire: Wire, competition: str, say: Callable[[str], None]) -> None:
    value = wire.rpc("competitions.GetSubmissionLimits", {"competitionName": competition}).value
    if (left := value.get("numAllowedNow")) is None:
        return  # not told; Kaggle refuses the call itself if none is left
    if int(left) <= 0:
        total = bool(value.get("limitedByTotal"))
        raise KitError(
            f"no submission to {competition} is left {'in all' if total else 'today'} "
            f"({value.get('numToday', 0)} today, {value.get('numTotal', 0)} in all)",
            where=_page(competition),
            fix="nothing can be done: the competition's limit is reached"
            if total
            else "run this again after 00:00 UTC",
        )
    say(f"{counted(left, 'submission')} to {competition} left today")


def _page(competition: str) -> str:
    """Where a person sees the submissions; the host is that of the user's own account."""
    return f"the competition's page Submissions (competitions/{competition}/submissions)"


def _score(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    try:
        return text if math.isfinite(float(text)) else None
    except ValueError:
        return None


def _number(value: Any) -> int | None:
    """A number of Kaggle's; JSON made of protocol buffers writes large ones as text."""
    return int(value) if str(value or "").isdecimal() else None


def _words(value: Mapping[str, Any] | None) -> str:
    return str((value or {}).get("errorDescription") or "").strip()
