"""Publish uploaded files exactly once, also when the answer is lost or this process is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bundle.upload.destination import Destination, There
from kit.errors import KitError
from kit.local.kaggle.outcome import CallError, Refused, Unclear, Unreachable
from kit.local.kaggle.state import State, now
from kit.local.kaggle.wire import Wire

_TRIES = 3
_PAUSES = 20
_TAKEN = ("already in use", "already exists", "already taken")
_LOST_TOKEN = "token"  # noqa: S105 - a word of a message


class TokensLostError(KitError):
    """Kaggle does not know the uploaded files any more; they have to be sent again."""


def publish(
    destination: Destination,
    wire: Wire,
    tokens: Sequence[str],
    state: State,
    *,
    there: There,
    save: Callable[[State], None],
) -> State:
    """Ask for the version; look before every repetition, so that there is one version and not two.

    Args:
        destination: where.
        wire: to Kaggle.
        tokens: of the uploaded files.
        state: with a build id; it is saved before each call.
        there: what was there before the first call.
        save: writes the state.

    Returns:
        The state, processing.

    Raises:
        TokensLostError: the files have to be sent again.
        KitError: Kaggle refuses, or nobody knows what became of three calls.
    """
    state = replace(state, previous_version=there.current or 0)
    trouble: CallError | None = None
    waits = wire.patience.waits()
    pauses = 0
    while state.attempts < _TRIES:
        state = replace(state, stage="publishing", attempts=state.attempts + 1)
        save(state)
        try:
            destination.publish(wire, tokens, state.build_id, there)
            return _processing(state)
        except Refused as error:
            if error.status != 429:
                if is_taken(error) and trouble is not None:
                    return _processing(state)  # a call whose answer was lost has made it
                raise _refusal(destination, error, there) from None
            # Nothing happened, so it does not count as a try.
            state, pauses = replace(state, attempts=state.attempts - 1), pauses + 1
            if pauses > _PAUSES:
                raise
            time.sleep(max(next(waits), error.retry_after or 0))
        except Unreachable as error:
            # The request did not leave this machine: that is no try, either.
            state, pauses = replace(state, attempts=state.attempts - 1), pauses + 1
            if pauses > _PAUSES:
                raise error from None
            time.sleep(next(waits))
        except Unclear as error:
            trouble = error
            if landed(destination, wire, state):
                return _processing(state)
    raise KitError(
        f"nobody knows whether the version was made: {trouble.problem if trouble else 'no answer'}",
        where=destination.url,
        fix="look at the page; then run the same command again, which looks before it sends",
    )


def landed(destination: Destination, wire: Wire, state: State) -> bool:
    """Whether the version of a state's build id is there; looks for `settle` seconds before it says no."""
    # Kaggle may answer with what was true before the change, so one look that finds nothing proves nothing.
    end = time.monotonic() + wire.patience.settle
    while True:
        there = destination.look(wire)
        if there.version_of(state.build_id) is not None:
            return True
        if there.exists and (there.current or 0) > state.previous_version:
            return True
        if there.exists and state.previous_version == 0 and there.current is None:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(wire.patience.poll)


def _processing(state: State) -> State:
    return replace(state, stage="processing", times={**state.times, "published": now()})


def is_taken(error: Refused) -> bool:
    """Whether a refusal says that the name is in use; 409 says so in whatever words."""
    return error.status == 409 or any(word in error.reason.lower() for word in _TAKEN)


def _refusal(destination: Destination, error: Refused, there: There) -> KitError:
    """Return a refusal in words that say what to do."""
    if is_taken(error) and not there.exists:
        return KitError(
            f"the name {destination.id} is taken: {error.reason}",
            where=destination.url,
            fix="a notebook or another dataset of yours has it; build the bundle with another --prefix",
        )
    if "quota" in error.reason.lower():
        return KitError(
            f"Kaggle does not take {destination.id}: {error.reason}",
            where=destination.url,
            fix="delete datasets or old versions on Kaggle, then run the same command again: it goes on here",
        )
    if _LOST_TOKEN in error.reason.lower() and error.status not in (401, 403):
        return TokensLostError(
            f"Kaggle does not know the uploaded files any more: {error.reason}",
            where=destination.url,
            fix="run the same command again; it sends them anew",
        )
    return error
