"""`python -m kit.models list [--json]`: every network with its size and what its output means."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from kit.errors import run_cli
from kit.models import build, names, spec


def describe(name: str) -> dict[str, Any]:
    """A network's declaration and its number of parameters at published size.

    Built on the meta device, so it takes no memory.
    """
    import torch

    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build({"network": name}).parameters())
    return {**spec(name).as_dict(), "parameters": parameters}


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m kit.models", description="The networks this kit can build."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="name, system, parameters, output semantics, size divisor")
    listing.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    arguments = parser.parse_args(argv)
    rows = [describe(name) for name in names()]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(f"{'name':<18} {'system':<18} {'parameters':>12}  {'output':<12} divisor")
    for row in rows:
        print("{name:<18} {system:<18} {parameters:>12,}  {output:<12} {size_divisor}".format_map(row))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
