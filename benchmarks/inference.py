"""`python -m benchmarks inference`: compare slides, masks and scores with other libraries."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import PARTS, InferenceOptions
from kit.errors import KitError
from kit.local.console import show_table

REQUIREMENTS = "requirements-bench.txt"


def run(options: InferenceOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure the chosen parts and print their tables; `write_docs` also writes them into a document.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below each table.
        docs: document with a block for each part.

    Raises:
        KitError: a peer is not installed, a measurement failed, or two ways give different results.
    """
    chosen = [options.part] if options.part else list(PARTS)
    # All peers are checked before the first part runs: a missing library must not show after half an hour.
    for name in chosen:
        require_peers(name)
    for name in chosen:
        part = PARTS[name]
        module = importlib.import_module(f"benchmarks.{part.module}")
        more = {"size": options.size, "threads": options.threads} if part.sized else {}
        rows = list(module.rows(small=options.tiny, rounds=options.rounds or part.rounds, **more))
        show_table(name, module.HEAD, rows)
        if options.write_docs:
            how = f"`python -m benchmarks {' '.join(command)}` on {machine.describe()}"
            write_block(docs, name, f"{table(module.HEAD, rows)}\n\n{how}")


def require_peers(name: str) -> None:
    """Check that the peers of a part are installed.

    Raises:
        KitError: a library is missing; the message names it and the file that lists it.
    """
    missing = [peer for peer in PARTS[name].peers if importlib.util.find_spec(peer) is None]
    if missing:
        raise KitError(
            f"part {name} compares with {' and '.join(missing)}, which is not installed here",
            where=REQUIREMENTS,
            fix=f"run `nox -s bench -- inference`, or install {REQUIREMENTS} into this environment",
        )
