"""Send one file: go on after every interruption, and start again where going on is hopeless."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from kit.local.kaggle.exchange import Exchange
from kit.local.kaggle.outcome import NO_WAY_ON, Stalled, Unclear

BlobType = Literal["DATASET", "MODEL"]
_TRIES_AT_ONE_OFFSET = 2


def send_file(
    exchange: Exchange,
    staged: Path,
    blob_type: BlobType,
    *,
    records: Path,
    on_bytes: Callable[[int], None],
    limits: tuple[float, float],
) -> str:
    """Send a file and return its blob token; the arguments are those of `Wire.upload`.

    Args:
        exchange: with the client's process.
        staged: the file.
        blob_type: what it becomes a part of.
        records: folder of the client's own record of what is sent.
        on_bytes: gets the number of bytes that are sent.
        limits: seconds that it may stand still, and seconds for all of it.

    Raises:
        CallError: it did not get through.
    """
    stall_s, deadline_s = limits
    what = f"the upload of {staged.name}"
    offset, same, afresh = -1, 0, False

    def once() -> str:
        nonlocal offset, same, afresh
        reached = 0

        def moved(count: int) -> None:
            nonlocal reached
            reached = count
            on_bytes(count)

        work: dict[str, Any] = {
            "do": "upload",
            "path": str(staged),
            "blob_type": blob_type,
            "records": str(records.absolute()),
            "afresh": afresh,
        }
        try:
            how: dict[str, Any] = {"stall_s": stall_s, "on_moved": moved}
            reply = exchange.ask(what, deadline_s, **how, **work)
        except Unclear as error:
            # A server that names a position beyond the file makes the client hang there again and again,
            # and a broken session refuses every part. After two such ends in the same place the file
            # starts from its first byte.
            hopeless = isinstance(error, Stalled) or NO_WAY_ON in error.what
            same = 0 if not hopeless else same + 1 if reached == offset else 1
            afresh, offset = same >= _TRIES_AT_ONE_OFFSET, reached
            raise
        if "token" not in reply:
            exchange.judge(what, reply)  # also a refusal with status 200
            raise Unclear(what, f"the answer ({reply['status']}) has no token")
        return str(reply["token"])

    return exchange.patiently(once, outage=deadline_s)
