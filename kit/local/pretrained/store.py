"""A folder of published checkpoints, as fetched and as converted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.artefacts import sha256_json
from kit.errors import KitError
from kit.local.pretrained.conversion import convert
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.load import read_header
from kit.local.pretrained.registry import get


def find(name: str, config: Mapping[str, Any], folder: Path | None) -> Path:
    """The converted file of a starting point for a network.

    Looked for in the folder: `<name>.safetensors` converted for this network; then the published file, which
    is converted once and kept as `<name>.<network>-<first digits of the config's sha256>.safetensors`.

    Args:
        name: of the starting point.
        config: plain dict of the network.
        folder: of checkpoints; None where the user named none.

    Raises:
        KitError: no such starting point, or neither file is in the folder, or the file is another network's.
    """
    entry = get(name)
    network, identity = str(config["network"]), sha256_json(dict(config))
    if folder is not None:
        own = folder / f"{name}.{network}-{identity[:8]}.safetensors"
        for path in (own, folder / f"{name}.safetensors"):
            header = read_header(path) if path.is_file() else None
            if header is not None and header["network"] == network:
                return path
        raw = next((folder / file for file in _files(entry) if (folder / file).is_file()), None)
        if raw is not None:
            convert(raw, config, own).show()
            return own
    place = folder if folder is not None else Path("checkpoints")
    named = "" if folder is not None else f", then train with --checkpoints {place}"
    raise KitError(
        f"{network} starts from the published checkpoint {name}, which is not there",
        where=folder if folder is not None else "--checkpoints",
        fix=f"python -m kit.models fetch {name} --out {place} && python -m kit.models convert "
        f"{place / entry.file} --network {network} --out {place / name}.safetensors{named}",
    )


def _files(entry: Pretrained) -> tuple[str, ...]:
    """Names under which a published file may lie there: packed, unpacked, or by the starting point's name."""
    return (entry.file, entry.file.removesuffix(".zip"), f"{entry.name}.pth", f"{entry.name}.safetensors")
