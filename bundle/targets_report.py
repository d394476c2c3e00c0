"""`python -m bundle targets`: which Kaggle images the kit knows, and what is known of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from bundle.target_options import FOLDER, TARGETS
from kit.command_line import option
from kit.local import targets
from kit.local.console import results
from kit.local.targets import Target
from kit.local.targets.facts import NOT_KNOWN, Fact, facts
from kit.local.verbs import Verb


@dataclass(frozen=True, kw_only=True)
class Options:
    """Show the known Kaggle images: what is known of each, and what is not.

    Attributes:
        targets: names or Python tags; all known ones if empty.
        folder: with one JSON file per image; None: the kit's own.
        json: print the facts for other programs, null where one is not known.
    """

    targets: tuple[str, ...] = field(default=(), metadata=TARGETS)
    folder: Path | None = field(default=None, metadata=FOLDER)
    json: bool = field(default=False, metadata=option("print JSON, null where a fact is not known"))


def run(options: Options) -> int:
    """Run the verb `targets`: print the facts and notes of some targets on stdout.

    Raises:
        KitError: no target has a given name or tag, or a file does not describe a target.
    """
    chosen = targets.choose(options.targets, targets.known(options.folder))
    if options.json:
        listed = {
            target.name: {
                **{fact.name: fact.value for fact in facts(target)},
                "notes": target.notes,
            }
            for target in chosen
        }
        print(json.dumps(listed, indent=1))
        return 0
    for target in chosen:
        _show(target, facts(target))
    return 0


def _show(target: Target, listed: Sequence[Fact]) -> None:
    table = Table(title=escape(target.name), title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for fact in listed:
        table.add_row(escape(fact.name), f"[dim]{NOT_KNOWN}" if fact.value is None else escape(fact.value))
    screen = results()  # on stdout: the table is the command's result
    screen.print(table)
    for note in target.notes:
        screen.print(f"  - {escape(note)}")


VERB = Verb(
    "targets",
    Options,
    run,
    "Kaggle's images",
    ("targets", "targets --target cp313 --json"),
    "nothing was to be written",
)
"""`targets [--target NAME] [--json]`."""
