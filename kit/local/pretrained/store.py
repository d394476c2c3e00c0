"""Find a converted checkpoint in the user's folder of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.artefacts import sha256_json
from kit.errors import KitError
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.limited import convert
from kit.local.pretrained.load import read_header
from kit.local.pretrained.registry import get


def find(name: str, config: Mapping[str, Any], folder: Path | None) -> Path:
    """Return the converted file of a published checkpoint for a network; convert it if necessary.

    Args:
        name: of the checkpoint in the registry.
        config: plain dict of the network.
        folder: of checkpoints; None if the user named none.

    Raises:
        KitError: the checkpoint is unknown, the folder does not have it, or it belongs to another network.
    """
    # For "mit_b2" and segformer-b2, these files are tried in this order:
    #   mit_b2.segformer-b2-1a2b3c4d.safetensors   an earlier call made it; 1a2b3c4d: sha256 of the config
    #   mit_b2.safetensors                         the user made it; only if it was made for segformer-b2
    #   mit_b2_20220624-66e8bf70.pth, mit_b2.pth   the published file; it is converted into the first name
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
        f"{network} starts from the published checkpoint {name}, but no such file is there",
        where=folder if folder is not None else "--checkpoints",
        fix=f"run python -m kit.models fetch {name} --out {place} && python -m kit.models convert "
        f"{place / entry.file} --network {network} --out {place / name}.safetensors{named}",
    )


def _files(entry: Pretrained) -> tuple[str, ...]:
    """Return the names that a published file may have: packed, unpacked, or the checkpoint's name."""
    return (entry.file, entry.file.removesuffix(".zip"), f"{entry.name}.pth", f"{entry.name}.safetensors")
