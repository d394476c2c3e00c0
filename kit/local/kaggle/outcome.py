"""What became of a call: the server said yes, said no, or nobody knows.

The three are kept apart because they need different next steps. After a yes go on. After a no stop, and show
the server's own words. After a lost answer look first: a call repeated blindly makes a second version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.errors import KitError

_LOOK = "run the same command again; it looks at what is there before it sends anything"
_LONGEST_REASON = 600
NO_WAY_ON = "the store takes no more of this upload"
"""Part of an `Unclear` after which an upload cannot go on where it was."""


@dataclass(frozen=True)
class Answer:
    """The server said yes.

    Attributes:
        value: the answer's JSON object, as the server wrote it (camelCase).
        status: HTTP status.
        headers: of the answer, names in lower case.
    """

    value: dict[str, Any]
    status: int
    headers: Mapping[str, str]


class CallError(KitError):
    """A call that gave no answer to work with.

    Attributes:
        retry_after: seconds that the server asks to wait before the next try; None if it does not say.
    """

    retry_after: float | None = None


class Refused(CallError):  # noqa: N818 - a word of its own says more
    """The server said no, clearly: nothing happened.

    Attributes:
        status: HTTP status, or the one in the body of a "200".
        reason: the server's own words.
    """

    def __init__(
        self,
        method: str,
        *,
        status: int,
        reason: str,
        retry_after: float | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(
            f"Kaggle refused {method} ({status}): {reason or 'without a reason'}",
            where=method,
            fix=fix or _advice(status),
        )
        self.status, self.reason, self.retry_after = status, reason, retry_after


class Unclear(CallError):  # noqa: N818 - as above
    """The request left this machine and its answer is lost, or is none: it may have worked."""

    def __init__(self, method: str, what: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"nobody knows whether {method} worked: {what}", where=method, fix=_LOOK)
        self.what, self.retry_after = what, retry_after


class Stalled(Unclear):
    """The bytes of a file stood still."""


class CutOff(Unclear):
    """The limit for everything ended a call that only reads, so it says nothing about what it asked for.

    Args:
        last: what became of the last try; the message is its.
    """

    def __init__(self, last: CallError) -> None:
        KitError.__init__(self, last.problem, where=last.where, fix=last.fix)
        self.what, self.retry_after = last.problem, last.retry_after


class Unreachable(CallError):  # noqa: N818 - as above
    """The request did not leave this machine: no name server, no route, no connection."""

    def __init__(self, method: str, what: str) -> None:
        super().__init__(
            f"Kaggle cannot be reached: {what}",
            where=method,
            fix="check the network and the proxy (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE), then run again",
        )


def _advice(status: int) -> str:
    return {
        401: "make a new token on the settings page of your account, or log in again (see docs/upload.md); "
        "then run the same command again, which goes on where it was",
        403: "check that the name is right and that your account may do this",
        429: "Kaggle asks for a pause; run the same command again later",
    }.get(status, "correct what the message names, then run the same command again")


def judge(method: str, status: int, headers: Mapping[str, str], body: str, *, writes: bool = False) -> Answer:
    """Return the answer that an HTTP response is, whatever its status claims.

    Kaggle puts refusals into answers with status 200 too: {"code": 400, ...}, {"error": "quota"}, an empty
    object, or a page of HTML. The client's own commands take several of them for a success.

    Args:
        method: the call, for messages: "datasets.CreateDataset".
        status: HTTP status.
        headers: names in lower case.
        body: text of the response.
        writes: whether the call changes something. Then an empty answer or a server error is unclear.

    Raises:
        Refused: it says no. For calls that only read, a server error is `Unclear`, too, as it passes.
        Unclear: it says neither.
    """
    retry_after = _seconds(headers.get("retry-after"))
    value = _object(body)
    inner = value.get("code") if value else None
    reason = reason_of(body)
    code = inner if isinstance(inner, int) and inner >= 400 else status
    said = [value.get(name) for name in ("error", "errorMessage", "errors")] if value else []
    nested = next((item for item in said if item), None)
    if isinstance(nested, dict) and isinstance(nested.get("code"), int):
        code = max(code, nested["code"])
    if code == 408 or (code >= 500 and code != 501):
        raise Unclear(method, f"the server answered {code} {reason}".strip(), retry_after=retry_after)
    if code >= 400:
        raise Refused(method, status=code, reason=reason, retry_after=retry_after)
    if value is None:
        raise Unclear(method, f"the answer ({status}) is no JSON object: {_start(body)!r}")
    # {"status": "ERROR"} of a call that reads tells of a run or a submission, and is a good answer.
    if nested or (writes and str(value.get("status", "")).lower() == "error"):
        raise Refused(method, status=status, reason=reason, retry_after=retry_after)
    if writes and not any(value.values()):
        raise Unclear(method, f"the answer ({status}) is empty")
    return Answer(value, status, headers)


def reason_of(body: str) -> str:
    """Return the server's own words in the body of a response, "" when it has none.

    `{"error": {"code": 400, "message": "..."}}`, `{"error": "..."}`, `{"message": "..."}`,
    `{"detail": "..."}` and `{"errors": [{"message": "..."}]}` are known; of others the beginning is shown.
    """
    value = _object(body)
    if value is None:
        return "" if "<html" in body[:2000].lower() else _start(body)
    for name in ("error", "errorMessage", "message", "errorDescription", "detail", "errors"):
        found = value.get(name)
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict):
            found = found.get("message") or found.get("status") or json.dumps(found)
        if isinstance(found, str) and found.strip():
            return found.strip()[:_LONGEST_REASON]
    return _start(body) if any(value.values()) else ""


def _object(body: str) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _start(body: str) -> str:
    return " ".join(body[:200].split())


def _seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After header; its other form, a date, is not used by Kaggle."""
    try:
        return max(0.0, min(float(text or ""), 3600.0))
    except ValueError:
        return None
