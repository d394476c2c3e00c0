"""`python -m benchmarks demo`: the scores that `nox -s demo` left, beside those of the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import DemoOptions
from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.console import show_table

BLOCK = "demo"
HEAD = (
    "sample",
    "metric",
    "submission",
    "Otsu's threshold",
    "all foreground",
    "expected by predict.py",
    "safe",
)


def run(options: DemoOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Show what the demo left, and keep it in the docs if the options say so.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: the demo has not come to its end.
    """
    folders = [path.parent for path in sorted(options.demo.glob("*/scores.json"))]
    if not folders:
        raise KitError("there is no finished demo", where=options.demo, fix="run `nox -s demo`")
    rows = [_row(folder) for folder in folders]
    show_table(BLOCK, HEAD, rows)
    if options.write_docs:
        write_block(docs, BLOCK, f"{table(HEAD, rows, numbers_from=2)}\n\n{machine.made_by(command)}")


def _row(folder: Path) -> list[str]:
    scores: dict[str, float] = read_json(folder / "scores.json")
    rehearsed: dict[str, Any] = read_json(folder / "rehearsal" / "rehearsal.json")
    verdict = rehearsed["verdict"]
    expected = verdict["expected_score"]
    return [
        folder.name,
        str(rehearsed["score"]["metric"]),
        *(f"{scores[kind]:.4f}" for kind in ("submission", "otsu", "all-foreground")),
        "-" if expected is None else f"{expected:.4f}",
        "yes" if verdict["safe"] else "no",
    ]
