"""`python -m benchmarks inference`: the inference core beside its peers and the machine's limits."""

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
    """Measure, print tables, keep them in docs/benchmarks.md on demand.

    Raises:
        KitError: a peer is not installed, a measurement failed, or ways that should agree do not.
    """
    chosen = [options.part] if options.part else list(PARTS)
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
    """Refuse a part whose peers are not there, before anything is measured.

    Raises:
        KitError: names the library and the file that has it.
    """
    missing = [peer for peer in PARTS[name].peers if importlib.util.find_spec(peer) is None]
    if missing:
        raise KitError(
            f"part {name} measures beside {' and '.join(missing)}, which is not installed here",
            where=REQUIREMENTS,
            fix=f"run `nox -s bench -- inference`, or install {REQUIREMENTS} into this environment",
        )
