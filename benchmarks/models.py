"""`python -m benchmarks models`: measure the networks, and compare our code with other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import machine, networks, peers, recipes
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import ModelOptions
from kit.errors import KitError
from kit.local.console import show_table
from kit.models import names, spec


def run(options: ModelOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure the chosen parts and print their tables; `write_docs` also writes them into a document.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below each table.
        docs: document with a block for each part.

    Raises:
        KitError: a network is unknown, there is no GPU, or a measurement failed.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise KitError("torch sees no GPU", fix="leave out --device cuda, or check `nvidia-smi`")
    chosen = [spec(name).name for name in options.only or names()]
    torch.set_num_threads(options.threads or torch.get_num_threads())
    for part in _parts(options):
        head, rows = _measure(part, chosen, options)
        show_table(part, head, rows)
        if options.write_docs:
            how = machine.made_by(command, options.device)
            write_block(docs, part, f"{table(head, rows)}\n\n{how}")


def _parts(options: ModelOptions) -> Sequence[str]:
    # On a GPU only the recipes mean something: the published logs give time and memory on a GPU. The other
    # parts compare ways on the CPU. `--only` names networks, and the peers are no networks of the registry.
    if options.part:
        return (options.part,)
    if options.device == "cuda":
        return ("recipes",)
    return ("networks",) if options.only else ("networks", "swin", "detectors")


def _measure(
    part: str, chosen: Sequence[str], options: ModelOptions
) -> tuple[Sequence[str], list[list[str]]]:
    small, size, seconds = options.tiny, options.size, options.seconds
    if part == "networks":
        rows = networks.rows(chosen, size=size, seconds=seconds, threads=torch.get_num_threads(), small=small)
        return networks.HEAD, list(rows)
    if part == "swin":
        return peers.SWIN_HEAD, list(peers.swin_rows(size=size, rounds=options.rounds, small=small))
    if part == "detectors":
        found = peers.detectors_rows(options.native_mmcv, size=size, rounds=options.rounds, small=small)
        return peers.DETECTORS_HEAD, list(found)
    return recipes.HEAD, list(recipes.rows(chosen, seconds=seconds, small=small, device=options.device))
