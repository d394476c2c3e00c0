"""`python -m kit.models list|pretrained|fetch|convert`: the networks, and the checkpoints they start from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from kit.command_line import option
from kit.local import pretrained_command as command
from kit.local.program import run_cli
from kit.local.verbs import Program, Verb
from kit.typed_json import at_least


def describe(name: str, size: int | None = None) -> dict[str, Any]:
    """Return a network's declaration and its number of parameters at published size, without computing.

    Args:
        name: in the registry.
        size: side of a square image in pixels. It adds the attributes of `kit.local.estimate.Estimate` for
            such an image.
    """
    # A table without `size` needs no trace of the network: tensors on the meta device have shapes only.

    from kit.models import build, spec

    if size is not None:
        from kit.local.estimate import estimate

        return {**spec(name).as_dict(), **asdict(estimate({"network": name}, size, size))}
    import torch

    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build({"network": name}).parameters())
    return {**spec(name).as_dict(), "parameters": parameters}


@dataclass(frozen=True, kw_only=True)
class List:
    """List each network's name, system, number of parameters, output and size divisor."""

    names: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "list these networks only", metavar="NAME", positional=True, names=command.network_names
        ),
    )
    size: Annotated[int, at_least(1)] | None = field(
        default=None,
        metadata=option("estimate work and memory of a square image of this side", metavar="PIXELS"),
    )
    json: bool = field(default=False, metadata=option("print JSON"))


def _list(options: List) -> int:
    from kit.local.console import track
    from kit.models import names

    wanted = options.names or names()
    made = (describe(name, options.size) for name in wanted)
    rows = list(track(made, total=len(wanted), description="networks"))
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    head = f"{'name':<28} {'system':<28} {'parameters':>12}  {'output':<12} divisor"
    print(head + ("  weights MB  forward GFLOP  activations MB" if options.size else ""))
    for row in rows:
        line = "{name:<28} {system:<28} {parameters:>12,}  {output:<12} {size_divisor:>7}".format_map(row)
        if options.size:
            line += f"  {row['weight_bytes'] / 1e6:>10,.0f}  {row['forward_flops'] / 1e9:>13,.1f}"
            line += f"  {row['peak_activation_bytes'] / 1e6:>14,.0f}"
        print(line)
    return 0


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    return program().run(argv)


def program() -> Program:
    """Return the command line."""
    examples = ("list", "list unet-regnety16 --size 512 --json")
    verbs = (
        Verb("list", List, _list, "networks", examples, "nothing was to be written"),
        *command.VERBS,
    )
    description = "The networks that this kit builds, and the checkpoints they start from."
    return Program("python -m kit.models", description, verbs)


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
