"""What doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what it is: "memory".
        level: "ok"; "note", worth knowing or not to be checked; "problem", which stops the way from data to a
            submission.
        told: what was seen, one line.
        fix: what to do; empty if nothing is to be done.
        facts: the same for other programs: numbers in bytes and seconds, never a credential.
    """

    about: str
    level: Level
    told: str
    fix: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
