"""`python -m kit.models pretrained|fetch|convert`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.artefacts import read_json
from kit.errors import KitError

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 the type has no public name


def add(verbs: Verbs) -> None:
    """Add the three verbs to a command line; each sets `run`."""
    listing = verbs.add_parser("pretrained", help="published checkpoints that networks start from")
    listing.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    listing.set_defaults(run=_list)

    fetching = verbs.add_parser("fetch", help="download one of them; interrupted and run again, it goes on")
    fetching.add_argument("name", help="as `pretrained` lists it")
    fetching.add_argument(
        "--out", type=Path, default=Path("checkpoints"), help="folder (default: checkpoints)"
    )
    fetching.add_argument("--url", help="of a mirror, or with a signature")
    fetching.set_defaults(run=_fetch)

    converting = verbs.add_parser(
        "convert", help="a checkpoint into safetensors for one network, with a report"
    )
    converting.add_argument("file", type=Path, help=".pth, .pth.zip, .pth.tar, .npz or .safetensors")
    converting.add_argument("--network", required=True, help="as `list` names it")
    converting.add_argument("--config", type=Path, help="JSON file with the network's other settings")
    converting.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    converting.add_argument(
        "--ema", action="store_true", help="take the running mean of the weights, if there"
    )
    converting.add_argument("--least", type=float, help="share that has to load (default: by kind)")
    converting.set_defaults(run=_convert)


def _list(arguments: argparse.Namespace) -> int:
    from kit.local.pretrained import get, names

    entries = [get(name) for name in names()]
    if arguments.json:
        print(json.dumps([entry.as_dict() for entry in entries], indent=1))
        return 0
    for entry in entries:
        print(f"{entry.name}\n    {entry.kind} for {', '.join(entry.networks)}")
        for line in filter(None, (entry.note, entry.licence, entry.url)):
            print(f"    {line}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from kit.local.pretrained import fetch, get

    print(fetch(get(arguments.name), arguments.out, url=arguments.url))
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    from kit.local.pretrained import convert

    if arguments.least is not None and not 0 <= arguments.least <= 1:
        raise KitError(f"{arguments.least} is no share", where="--least", fix="give a number from 0 to 1")
    more: Any = read_json(arguments.config) if arguments.config is not None else {}
    if not isinstance(more, dict):
        raise KitError(
            "not a JSON object", where=arguments.config, fix='give settings like {"drop_path": 0.2}'
        )
    config = {**more, "network": arguments.network}
    convert(arguments.file, config, arguments.out, mean=arguments.ema, least=arguments.least).show()
    print(arguments.out)
    return 0
