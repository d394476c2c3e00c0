"""Options of `python -m kit new-competition`, and its verb; what it needs is imported when it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option
from kit.local.verbs import Verb


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
    force: bool = field(default=False, metadata=option("write over files that are there"))


def _run(options: NewCompetitionOptions) -> int:
    from kit.local.new_competition import command

    return command.run(options)


NEW_COMPETITION = Verb(
    "new-competition",
    NewCompetitionOptions,
    _run,
    "a competition",
    (
        "new-competition DIR",
        "new-competition DIR --yes --answer 'metric.name=mean Dice' --out FILE.toml",
    ),
    "the definition is written in the end, or not at all",
)
"""`new-competition DIR [--out FILE] [--answer KEY=VALUE] [--yes]`."""
