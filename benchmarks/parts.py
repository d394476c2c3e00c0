"""`python -m benchmarks inference` and `training`: measure the tables of a verb beside other libraries."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import PARTS, TRAINING_PARTS, InferenceOptions, Part, TrainingOptions
from kit.errors import KitError
from kit.local.console import show_table

REQUIREMENTS = "requirements-bench.txt"


def run(
    options: InferenceOptions | TrainingOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md"
) -> None:
    """Measure the chosen parts and print their tables; `write_docs` also writes them into a document.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below each table.
        docs: document with a block for each part.

    Raises:
        KitError: a peer is not installed, a measurement failed, or two ways give different results.
    """
    parts = PARTS if isinstance(options, InferenceOptions) else TRAINING_PARTS
    chosen = [options.part] if options.part else list(parts)
    # All peers are checked before the first part runs: a missing library must not show after half an hour.
    for name in chosen:
        require_peers(name, parts[name])
    for name in chosen:
        part = parts[name]
        module = importlib.import_module(f"benchmarks.{part.module}")
        more: dict[str, Any] = {}
        if part.sized and isinstance(options, InferenceOptions):
            more = {"size": options.size, "threads": options.threads}
        rows = list(module.rows(small=options.tiny, rounds=options.rounds or part.rounds, **more))
        show_table(name, module.HEAD, rows)
        if options.write_docs:
            how = machine.made_by(command)
            write_block(docs, name, f"{table(module.HEAD, rows)}\n\n{how}")


def require_peers(name: str, part: Part) -> None:
    """Check that the peers of a part are installed.

    Raises:
        KitError: a library is missing; the message names it and the file that lists it.
    """
    missing = [peer for peer in part.peers if importlib.util.find_spec(peer) is None]
    if missing:
        raise KitError(
            f"part {name} compares with {' and '.join(missing)}, which is not installed here",
            where=REQUIREMENTS,
            fix=f"run `nox -s bench -- inference`, or install {REQUIREMENTS} into this environment",
        )
