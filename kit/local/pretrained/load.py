"""A converted checkpoint into a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.pretrained.conversion import HEADER, SCHEMA
from kit.models.network import Network

_SHOWN = 4


def read_header(path: Path) -> dict[str, Any] | None:
    """What a safetensors file says of its conversion; None for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError):
        return None
    header = json.loads(text) if text else None
    return header if isinstance(header, dict) and header.get("schema") == SCHEMA else None


def load_pretrained(network: Network, path: Path) -> None:
    """Fill the part of a network that a file written by `convert` is for; the rest is left as it is.

    Args:
        network: from `kit.models.build`; changed in place.
        path: of the file.

    Raises:
        KitError: the file is no converted checkpoint, or was converted for a network of other sizes.
    """
    from safetensors.torch import load_file

    header = read_header(path)
    if header is None:
        raise KitError(
            "not a converted checkpoint",
            where=path,
            fix=f"python -m kit.models convert {path} --network {network.spec.name}",
        )
    tensors, own = load_file(path), network.network.state_dict()
    other = [name for name, value in tensors.items() if name not in own or own[name].shape != value.shape]
    known = set(header["missing"]) | set(tensors)
    absent = [name for name in own if name.startswith(tuple(header["part"])) and name not in known]
    if other or absent:
        raise KitError(
            f"it was converted for {header['network']} of other sizes: {len(other)} of its tensors "
            f"do not fit, {len(absent)} are missing ({', '.join((other + absent)[:_SHOWN])})",
            where=path,
            fix="convert it again with --network and --config of this network",
        )
    # Not strict: what the part leaves out keeps its values. DetectoRS's adaptive weight standardisation takes
    # the statistics that are missing in a file from the weights, and so behaves as without it at first.
    network.network.load_state_dict(tensors, strict=False)
