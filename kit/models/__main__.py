"""`python -m kit.models list|pretrained|fetch|convert`: the networks, and the weights they start from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kit.errors import KitError, run_cli
from kit.local.estimate import estimate
from kit.local.pretrained import command
from kit.models import build, names, spec


def describe(name: str, size: int | None = None) -> dict[str, Any]:
    """A network's declaration and its number of parameters at published size; nothing is computed.

    Args:
        name: in the registry.
        size: side of a square image in pixels; adds "weight_bytes", and of that image "forward_flops" and
            "peak_activation_bytes", as `kit.local.estimate.Estimate` explains them.
    """
    if size is not None:
        return {**spec(name).as_dict(), **asdict(estimate({"network": name}, size, size))}
    import torch

    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build({"network": name}).parameters())
    return {**spec(name).as_dict(), "parameters": parameters}


def _list(arguments: argparse.Namespace) -> int:
    if arguments.size is not None and arguments.size < 1:
        raise KitError(f"--size {arguments.size} is no image", fix="give the side of a square in pixels")
    rows = [describe(name, arguments.size) for name in arguments.names or names()]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    head = f"{'name':<28} {'system':<28} {'parameters':>12}  {'output':<12} divisor"
    print(head + ("  weights MB  forward GFLOP  activations MB" if arguments.size else ""))
    for row in rows:
        line = "{name:<28} {system:<28} {parameters:>12,}  {output:<12} {size_divisor:>7}".format_map(row)
        if arguments.size:
            line += f"  {row['weight_bytes'] / 1e6:>10,.0f}  {row['forward_flops'] / 1e9:>13,.1f}"
            line += f"  {row['peak_activation_bytes'] / 1e6:>14,.0f}"
        print(line)
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m kit.models", description="The networks this kit can build, and what they start from."
    )
    verbs = parser.add_subparsers(required=True)
    listing = verbs.add_parser("list", help="name, system, parameters, output semantics, size divisor")
    listing.add_argument("names", nargs="*", metavar="NAME", help="these networks only")
    listing.add_argument("--size", type=int, help="estimate work and memory of a square image of this side")
    listing.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    listing.set_defaults(run=_list)
    command.add(verbs)
    arguments = parser.parse_args(argv)
    outcome: int = arguments.run(arguments)
    return outcome


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
