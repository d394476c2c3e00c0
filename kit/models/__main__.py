"""`python -m kit.models list|pretrained|fetch|convert`: the networks, and the weights they start from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from kit.errors import run_cli
from kit.models import build, names, spec
from kit.models.pretrained import command


def describe(name: str) -> dict[str, Any]:
    """A network's declaration and its number of parameters at published size.

    Built on the meta device, so it takes no memory.
    """
    import torch

    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build({"network": name}).parameters())
    return {**spec(name).as_dict(), "parameters": parameters}


def _list(arguments: argparse.Namespace) -> int:
    rows = [describe(name) for name in names()]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(f"{'name':<28} {'system':<28} {'parameters':>12}  {'output':<12} divisor")
    for row in rows:
        print("{name:<28} {system:<28} {parameters:>12,}  {output:<12} {size_divisor}".format_map(row))
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m kit.models", description="The networks this kit can build, and what they start from."
    )
    verbs = parser.add_subparsers(required=True)
    listing = verbs.add_parser("list", help="name, system, parameters, output semantics, size divisor")
    listing.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    listing.set_defaults(run=_list)
    command.add(verbs)
    arguments = parser.parse_args(argv)
    outcome: int = arguments.run(arguments)
    return outcome


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
