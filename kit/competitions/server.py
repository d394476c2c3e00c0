"""The table `[server]` of a definition: how Kaggle's gateway asks for predictions, batch by batch.

Competitions with an evaluation API (`kaggle_evaluation`) have such a gateway. docs/server-mode.md tells more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from kit.competitions.definition import Definition
from kit.errors import KitError
from kit.typed_json import above, from_plain

SUBMISSION = "submission.parquet"
"""Name of the file that a gateway writes."""
Argument = Literal["ids", "files", "bytes", "ids+files", "ids+bytes", "unused"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """What a call brings, and what its answer holds.

    Attributes:
        module: of the competition's own package, with its class of inference servers.
        deadline: seconds that the gateway waits for an answer; the first one has no limit.
        arguments: what a call brings in each argument: "ids", "files" (their paths), "bytes" (their content),
            "ids+files" or "ids+bytes" (a table with both), or "unused". Without ids, the files' names tell
            them.
        column: of the files or bytes, where an argument is a table; that of the ids is `submission.id`.
        endpoint: name of the function that the gateway calls.
        answer: whose DataFrame is returned.
        columns: that the answer has; empty: all those of the submission.
    """

    module: str
    deadline: Annotated[float, above(0)]
    arguments: tuple[Argument, ...] = ("files",)
    column: str = "path"
    endpoint: str = "predict"
    answer: Literal["pandas", "polars"] = "pandas"
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        words = [word for argument in self.arguments for word in argument.split("+")]
        if words.count("files") + words.count("bytes") != 1 or ("bytes" in words and "ids" not in words):
            raise KitError(
                f"server.arguments is {list(self.arguments)}, which does not tell the images",
                fix="name 'files' once, or 'ids' and 'bytes'",
            )
        if words.count("ids") > 1:
            raise KitError(f"server.arguments names 'ids' {words.count('ids')} times", fix="name them once")
        for key, name in (("module", self.module), ("endpoint", self.endpoint)):
            if not all(part.isidentifier() for part in name.split(".")):
                raise KitError(f"server.{key} is {name!r}, which is no name in Python", fix="correct it")


def server_of(definition: Definition, *, where: str | Path | None = None, fix: str | None = None) -> Server:
    """Return the table `[server]` of a definition that has one.

    Args:
        definition: of the competition.
        where: the file, for messages.
        fix: what else the reader can do about a fault, for messages.

    Raises:
        KitError: a key is missing or unknown, or its value has the wrong type or is not possible; or nobody
            said how many images come in all calls together (`hidden_images`).
    """
    made = from_plain(Table, {"server": definition.server}, where=where or "competition", fix=fix).server
    if definition.hidden_images is None:
        raise KitError(
            "hidden_images is missing: the time of a call depends on how many images are to come",
            where=where or "competition",
            fix="say it, as far as it is known, above all tables",
        )
    if other := set(made.columns) - set(definition.columns):
        raise KitError(
            f"server.columns names {min(other)!r}, which is no column of the submission",
            where=where or "competition",
            fix=f"use these: {', '.join(definition.columns)}",
        )
    return made


@dataclass(frozen=True, kw_only=True)
class Table:
    """Holds the table under its name, so that messages say "server.deadline"."""

    server: Server
