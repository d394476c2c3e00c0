"""`python -m benchmarks models`: speed and memory of the networks, and of our code beside its peers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import machine, networks, peers, recipes
from benchmarks.markdown import DOCS, table, write_block
from kit.errors import KitError
from kit.local.console import show_table
from kit.models import names, spec

PARTS = ("networks", "swin", "detectors", "recipes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks; without the peers")
    parser.add_argument("--part", choices=PARTS, help="one of the tables")
    parser.add_argument("--size", type=int, default=512, metavar="PIXELS", help="side of the image (512)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long each measurement is repeated (5)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of peers (5)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the recipes' steps alone"
    )
    parser.add_argument("--tiny", action="store_true", help="the tiny forms: is the benchmark itself whole?")
    parser.add_argument(
        "--native-mmcv",
        type=Path,
        metavar="DIR",
        help="unpacked wheel of `python -m bundle wheel mmcv --native`, the peer of the portable operators",
    )


def run(arguments: argparse.Namespace, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure, print tables, keep them in docs/benchmarks.md on demand.

    Raises:
        KitError: no such network, no GPU, or a measurement failed.
    """
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise KitError("torch sees no GPU", fix="leave --device cuda out, or see `nvidia-smi`")
    chosen = [spec(name).name for name in arguments.only or names()]
    torch.set_num_threads(arguments.threads)
    for part in _parts(arguments):
        head, rows = _measure(part, chosen, arguments)
        show_table(part, head, rows)
        if arguments.write_docs:
            how = f"`python -m benchmarks {' '.join(command)}` on {machine.describe(arguments.device)}"
            write_block(docs, part, f"{table(head, rows)}\n\n{how}")


def _parts(arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.part:
        return (arguments.part,)
    if arguments.device == "cuda":
        return ("recipes",)
    return ("networks",) if arguments.only else ("networks", "swin", "detectors")


def _measure(
    part: str, chosen: Sequence[str], arguments: argparse.Namespace
) -> tuple[Sequence[str], list[list[str]]]:
    small, size, seconds = arguments.tiny, arguments.size, arguments.seconds
    if part == "networks":
        rows = networks.rows(chosen, size=size, seconds=seconds, threads=arguments.threads, small=small)
        return networks.HEAD, list(rows)
    if part == "swin":
        return peers.SWIN_HEAD, list(peers.swin_rows(size=size, rounds=arguments.rounds, small=small))
    if part == "detectors":
        found = peers.detectors_rows(arguments.native_mmcv, size=size, rounds=arguments.rounds, small=small)
        return peers.DETECTORS_HEAD, list(found)
    return recipes.HEAD, list(recipes.rows(chosen, seconds=seconds, small=small, device=arguments.device))
