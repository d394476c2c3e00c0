"""`python -m kit.models pretrained|fetch|convert`.

This module stands beside the package `kit.local.pretrained` and not in it: an import of that package loads
torch, and `--help` should not wait for torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.command_line import option
from kit.errors import KitError
from kit.local.verbs import Verb
from kit.typed_json import Fraction


def _names() -> list[str]:
    from kit.local.pretrained.registry import names

    return names()


def network_names() -> list[str]:
    """Return the networks that a published checkpoint is for, which are all: known without loading torch."""
    from kit.local.pretrained.registry import get

    return sorted({network for name in _names() for network in get(name).networks})


@dataclass(frozen=True, kw_only=True)
class List:
    """List the published checkpoints that networks start from."""

    json: bool = field(default=False, metadata=option("print JSON"))


def _list(options: List) -> int:
    from kit.local.pretrained.registry import get, names

    entries = [get(name) for name in names()]
    if options.json:
        print(json.dumps([entry.as_dict() for entry in entries], indent=1))
        return 0
    for entry in entries:
        print(f"{entry.name}\n    {entry.kind} for {', '.join(entry.networks)}")
        for line in filter(None, (entry.note, entry.licence, entry.url)):
            print(f"    {line}")
    return 0


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Download a published checkpoint; run it again after an interruption, and it continues."""

    name: str = field(metadata=option("a name that `pretrained` lists", positional=True, names=_names))
    out: Path = field(default=Path("checkpoints"), metadata=option("folder for the file", metavar="DIR"))
    url: str | None = field(default=None, metadata=option("address of a mirror, or one with a signature"))


def _fetch(options: Fetch) -> int:
    from kit.local.pretrained.download import fetch
    from kit.local.pretrained.registry import get

    print(fetch(get(options.name), options.out, url=options.url))
    return 0


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Convert a checkpoint into safetensors for one network, and print a report."""

    file: Path = field(metadata=option(".pth, .pth.zip, .pth.tar, .npz or .safetensors", positional=True))
    network: str = field(metadata=option("a name that `list` shows", metavar="NAME", names=network_names))
    config: Path | None = field(
        default=None, metadata=option("JSON file with the network's other settings", metavar="FILE")
    )
    out: Path = field(metadata=option("safetensors file to write", metavar="FILE"))
    ema: bool = field(default=False, metadata=option("take the running mean of the weights if there is one"))
    take: str | None = field(
        default=None, metadata=option("which weights to take if the file has several", metavar="KEY")
    )
    least: Fraction | None = field(
        default=None, metadata=option("share that has to load (default: by format)", metavar="SHARE")
    )


def _convert(options: Convert) -> int:
    from kit.local.console import working
    from kit.local.pretrained.limited import convert

    more: Any = read_json(options.config) if options.config is not None else {}
    if not isinstance(more, dict):
        raise KitError(
            "the file does not hold a JSON object",
            where=options.config,
            fix='write settings like {"drop_path": 0.2}',
        )
    config = {**more, "network": options.network}
    with working(f"converting {options.file.name}"):
        report = convert(
            options.file, config, options.out, mean=options.ema, least=options.least, take=options.take
        )
    report.show()
    print(options.out)
    return 0


_TASK = "published checkpoints"
VERBS = (
    Verb("pretrained", List, _list, _TASK, ("pretrained", "pretrained --json"), "nothing was to be written"),
    Verb(
        "fetch",
        Fetch,
        _fetch,
        _TASK,
        ("fetch mit_b3 --out checkpoints",),
        "the bytes that have come are kept",
    ),
    Verb(
        "convert",
        Convert,
        _convert,
        _TASK,
        ("convert model.pth --network unet-regnety16 --out model.safetensors",),
    ),
)
