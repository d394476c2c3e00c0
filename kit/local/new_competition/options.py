"""Options of `python -m kit new-competition`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option


@dataclass(frozen=True, kw_only=True)
class NewCompetitionOptions:
    """Write a competition's definition from its downloaded folder: guess, ask what only you know, check.

    What cannot be guessed is asked for. Without a terminal, the open questions are listed (exit code 2);
    `--answer KEY=VALUE` answers them.
    """

    folder: Path = field(metadata=option("the unpacked competition", metavar="DIR", positional=True))
    out: Path | None = field(
        default=None, metadata=option("the definition to write; by default NAME.toml here", metavar="FILE")
    )
    answer: tuple[str, ...] = field(
        default=(),
        metadata=option("a key and its value, such as metric.name=AP", metavar="KEY=VALUE", repeat=True),
    )
    yes: bool = field(default=False, metadata=option("take every guess without asking"))
    json: bool = field(default=False, metadata=option("print JSON"))
    force: bool = field(default=False, metadata=option("write over files that are there"))
