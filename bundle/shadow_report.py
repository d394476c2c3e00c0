"""`python -m bundle shadow`: the shadow table of the known images, before anything is downloaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

from rich.markup import escape
from rich.table import Table

from bundle.roots import ROOTS
from bundle.shadow import Action, Shadow, shadow_table
from bundle.target_options import FOLDER, TARGETS
from kit.command_line import option
from kit.local import lockfile, targets
from kit.local.console import results
from kit.local.targets import Target
from kit.local.verbs import Verb

_FEW = 12
"""Names that a cell of the summary lists; of more it says how many."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Show which of an image's packages the bundle would put its own copies in front of. Downloads nothing.

    Attributes:
        targets: names or Python tags; all known ones if empty.
        folder: with one JSON file per image; None: the kit's own.
        lock: `requirements.lock`.
        json: print the rows for other programs.
    """

    targets: tuple[str, ...] = field(default=(), metadata=TARGETS)
    folder: Path | None = field(default=None, metadata=FOLDER)
    lock: Path = field(default=Path("requirements.lock"), metadata=option("pinned versions", metavar="FILE"))
    json: bool = field(default=False, metadata=option("print JSON"))


def run(options: Options) -> int:
    """Run the verb `shadow`: print one table for each target on stdout.

    Raises:
        KitError: no target has a given name or tag, or the lock cannot be read.
    """
    images = targets.choose(options.targets, targets.known(options.folder))
    pins = lockfile.load(options.lock)
    tables = {target.name: shadow_table(pins, ROOTS, target) for target in images}
    if options.json:
        print(json.dumps({name: [asdict(row) for row in rows] for name, rows in tables.items()}, indent=1))
        return 0
    for name, rows in tables.items():
        results().print(_table(name, rows))
    return 0


def _table(title: str, rows: Sequence[Shadow]) -> Table:
    table = Table(title=escape(title), title_justify="left")
    for heading in ("distribution", "image", "ours", "imported", "why"):
        table.add_column(heading, no_wrap=heading == "distribution", overflow="fold")
    for row in rows:
        why = "; ".join([row.why, *row.conflicts])
        table.add_row(*map(escape, (row.name, row.image or "", row.ours, row.action, why)))
    return table


def summary(tables: Sequence[tuple[Target, Sequence[Shadow]]], *, after: str = "") -> Table:
    """Return how many distributions meet which fate, with the names of a few: a row for images that agree.

    Args:
        tables: target and its rows.
        after: what has happened that the rows count on, for the title.
    """
    actions: tuple[Action, ...] = get_args(Action)
    more = f"now that {after}" if after else "all rows: `python -m bundle shadow`"
    images_by_cells: dict[tuple[str, ...], list[str]] = {}
    for target, rows in tables:
        cells = [_few([row.name for row in rows if row.action == action]) for action in actions]
        conflicts = "; ".join(text for row in rows for text in row.conflicts)
        images_by_cells.setdefault((*cells, conflicts), []).append(target.name)
    headings = (*actions, "conflicts")
    shown = [place for place in range(len(headings)) if any(row[place] for row in images_by_cells)]
    table = Table(title=f"whose copy is imported ({more})", title_justify="left")
    for heading in ("images", *(headings[place] for place in shown)):
        table.add_column(heading, overflow="fold")
    for row, names in images_by_cells.items():
        images = ", ".join(names) if len(images_by_cells) > 1 else f"all {len(names)}"
        table.add_row(*map(escape, (images, *(row[place] for place in shown))))
    return table


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _FEW else f"{len(names)} distributions"


VERB = Verb(
    "shadow",
    Options,
    run,
    "Kaggle's images",
    ("shadow --target kaggle-2026-10", "shadow --json"),
    "nothing was to be written",
)
"""`shadow [--target NAME] [--json]`."""
