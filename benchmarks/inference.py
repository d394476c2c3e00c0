"""`python -m benchmarks inference`: the inference core beside its peers and the machine's limits."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.markdown import DOCS, table, write_block
from kit.errors import KitError
from kit.local.console import show_table

REQUIREMENTS = "requirements-bench.txt"


@dataclass(frozen=True)
class Part:
    """One table; the module has its `HEAD` and `rows(*, small, rounds)`.

    Attributes:
        module: in this package.
        rounds: by default.
        peers: libraries that are only in `REQUIREMENTS`.
        sized: `rows` also takes `size` and `threads`.
    """

    module: str
    rounds: int
    peers: tuple[str, ...] = ()
    sized: bool = False


PARTS = {
    "slide": Part("slide", 1, ("monai",), sized=True),
    "published": Part("published", 1, ("rasterio",), sized=True),
    "reading": Part("reading", 5, ("rasterio", "zarr")),
    "tissue": Part("tissue", 1),
    "rle": Part("run_lengths", 5),
    "fusion": Part("fusion", 11),
    "ap": Part("ap", 5),
}
"""Name on the command line and of the block in docs/benchmarks.md -> what makes it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.add_argument("--part", choices=PARTS, help="one of the tables; all by default")
    parser.add_argument(
        "--size",
        type=_side,
        metavar="PIXELS",
        help="side of the large slide (30000) and of the published way's (12288)",
    )
    parser.add_argument(
        "--rounds", type=_count, metavar="N", help="runs of everything; each part has its own number"
    )
    parser.add_argument(
        "--threads", type=_count, default=1, metavar="N", help="of the network on the CPU (1)"
    )
    parser.add_argument("--tiny", action="store_true", help="in seconds: is the benchmark itself whole?")


def run(arguments: argparse.Namespace, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure, print tables, keep them in docs/benchmarks.md on demand.

    Raises:
        KitError: a peer is not installed, a measurement failed, or ways that should agree do not.
    """
    chosen = [arguments.part] if arguments.part else list(PARTS)
    for name in chosen:
        require_peers(name)
    for name in chosen:
        part = PARTS[name]
        module = importlib.import_module(f"benchmarks.{part.module}")
        more = {"size": arguments.size, "threads": arguments.threads} if part.sized else {}
        rows = list(module.rows(small=arguments.tiny, rounds=arguments.rounds or part.rounds, **more))
        show_table(name, module.HEAD, rows)
        if arguments.write_docs:
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


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _side(text: str) -> int:
    side = _count(text)
    if side % 3 or side < 288:
        raise argparse.ArgumentTypeError(f"{text} is no multiple of 3 from 288 on")
    return side
