"""Load a converted checkpoint into a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.pretrained.conversion import HEADER, SCHEMA, require_finite
from kit.models.network import Network

_SHOWN = 4


def read_header(path: Path) -> dict[str, Any] | None:
    """Return what a safetensors file says about its conversion; None if `convert` did not write it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(HEADER)
        header = json.loads(text) if text else None
    except (SafetensorError, OSError, ValueError, RecursionError, MemoryError):
        return None
    return header if isinstance(header, dict) and header.get("schema") == SCHEMA else None


def load_pretrained(network: Network, path: Path) -> None:
    """Load a file that `convert` wrote into its part of a network; the other parts do not change.

    Args:
        network: from `kit.models.build`; changed in place.
        path: of the file.

    Raises:
        KitError: `convert` did not write the file, or wrote it for a network of other sizes, or its weights
            are not finite numbers.
    """
    from safetensors.torch import load_file

    header = read_header(path)
    if header is None:
        raise KitError(
            "this is not a converted checkpoint",
            where=path,
            fix=f"convert it: python -m kit.models convert {path} --network {network.spec.name} --out FILE",
        )
    tensors, own = load_file(path), network.network.state_dict()
    other = [name for name, value in tensors.items() if name not in own or own[name].shape != value.shape]
    known = set(header["missing"]) | set(tensors)
    absent = [name for name in own if name.startswith(tuple(header["part"])) and name not in known]
    if other or absent:
        raise KitError(
            f"the file was converted for {header['network']} of other sizes: {len(other)} of its tensors "
            f"do not fit, {len(absent)} are missing ({', '.join((other + absent)[:_SHOWN])})",
            where=path,
            fix="convert it again with --network and --config of this network",
        )
    require_finite(tensors, path)
    # Not strict, because tensors outside the part keep their values. DetectoRS standardises its weights with
    # statistics. If a file has none, mmdet computes them from the loaded weights, so that the standardisation
    # changes nothing at first.
    network.network.load_state_dict(tensors, strict=False)
