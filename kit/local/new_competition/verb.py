"""The verb `new-competition`; what it needs is imported when it runs."""

from __future__ import annotations

from kit.local.new_competition.options import NewCompetitionOptions
from kit.local.verbs import Verb


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
