"""Options of the verbs `score` and `validate`; importing them loads no numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kit import competitions
from kit.command_line import option


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that both verbs have."""

    competition: str = field(
        metadata=option(
            "|".join([*competitions.names(), "FILE.toml"]), metavar="NAME", names=competitions.names
        )
    )
    data: Path = field(metadata=option("the competition's folder", metavar="DIR"))
    submission: Path = field(metadata=option("the file to score or check", metavar="FILE"))
    split: Literal["auto", "test", "train"] = field(
        default="auto",
        metadata=option(
            "images the file has to cover: test, train (out-of-fold predictions), or auto: the part that "
            "its first id belongs to"
        ),
    )
    json: bool = field(default=False, metadata=option("print JSON"))


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(Options):
    """Compute the competition's metric on images with truth."""


@dataclass(frozen=True, kw_only=True)
class ValidateOptions(Options):
    """Report errors that Kaggle would refuse, and alarms for valid but absurd content."""
