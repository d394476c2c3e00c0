"""How long a command waits for Kaggle: options that several commands share, and the wire they make."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from kit.command_line import option
from kit.local.kaggle.patience import Patience
from kit.local.kaggle.wire import Wire
from kit.typed_json import above


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How long Kaggle may take.

    Attributes:
        limit: seconds for everything.
        patience: seconds for which Kaggle's answers may contradict each other, or an answer may be lost.
        answer: seconds for one answer.
        stall: seconds that a file or a log may stand still.
        poll: seconds between two looks; a twelfth of `patience` if None.
        verbose: show what the official client prints, and why something is repeated.
    """

    limit: Annotated[float, above(0)] = field(
        default=172_800.0, metadata=option("seconds for everything", metavar="SECONDS")
    )
    patience: Annotated[float, above(0)] = field(
        default=60.0, metadata=option("seconds in which Kaggle may contradict itself", metavar="SECONDS")
    )
    answer: Annotated[float, above(0)] = field(
        default=60.0, metadata=option("seconds for one answer", metavar="SECONDS")
    )
    stall: Annotated[float, above(0)] = field(
        default=120.0, metadata=option("seconds that a file or a log may stand still", metavar="SECONDS")
    )
    poll: Annotated[float, above(0)] | None = field(
        default=None,
        metadata=option("seconds between two looks (default: a twelfth of --patience)", metavar="SECONDS"),
    )
    verbose: bool = field(default=False, metadata=option("show what the Kaggle client prints"))

    def limits(self) -> Patience:
        """Return all limits; those that the user does not set follow from `patience`."""
        patience = Patience.of(limit=self.limit, settle=self.patience, answer=self.answer, stall=self.stall)
        return patience if self.poll is None else replace(patience, poll=self.poll)


@contextmanager
def open_wire(waiting: Waiting) -> Iterator[Wire]:
    """Open a wire for calls and small files; the client's own files are deleted at the end."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        Wire(
            scratch=Path(scratch), patience=waiting.limits(), on_line=say if waiting.verbose else _nothing
        ) as wire,
    ):
        yield wire


def say(text: str) -> None:
    """Print progress on stderr: stdout is for results that other programs read."""
    print(text, file=sys.stderr, flush=True)


def _nothing(_: str) -> None:
    return
