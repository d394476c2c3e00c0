"""Find a converted checkpoint in the user's folder of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.artefacts import sha256_file, sha256_json
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
    #   mit_b2.segformer-b2-1a2b3c4d.safetensors   an earlier call made it; 1a2b3c4d: sha256 of the config.
    #                                              Made again if the published file is there and has changed
    #   mit_b2.safetensors                         the user made it; only if it was made for segformer-b2
    #   mit_b2_20220624-66e8bf70.pth, mit_b2.pth   the published file; it is converted into the first name
    entry = get(name)
    network, identity = str(config["network"]), sha256_json(dict(config))
    if folder is not None:
        own, by_hand = (folder / f"{name}{end}.safetensors" for end in (f".{network}-{identity[:8]}", ""))
        raw = next((folder / file for file in published_files(entry) if (folder / file).is_file()), None)
        made = _converted(own)
        if made is not None and made["network"] == network and _is_from(made, raw):
            return own
        if made is None and (header := _converted(by_hand)) is not None and header["network"] == network:
            return by_hand
        if raw is not None:
            convert(raw, config, own).show()
            return own
    place = folder if folder is not None else Path("checkpoints")
    named = "" if folder is not None else f", then train with --checkpoints {place}"
    raise KitError(
        f"{network} starts from the published checkpoint {name}, but no such file is there",
        where=folder if folder is not None else "--checkpoints",
        # What was fetched is converted when a training takes it.
        fix=f"download it: `nox -s fetch -- {name}` (python -m kit.models fetch {name} --out {place}){named}",
    )


def _converted(path: Path) -> dict[str, Any] | None:
    return read_header(path) if path.is_file() else None


def _is_from(header: Mapping[str, Any], raw: Path | None) -> bool:
    """Whether a converted file was made from the published file that is there now, if one is there."""
    return raw is None or _converted(raw) is not None or header["source_sha256"] == sha256_file(raw)


def published_files(entry: Pretrained) -> tuple[str, ...]:
    """Return the names that a published file may have: packed, unpacked, or the checkpoint's name."""
    return (entry.file, entry.file.removesuffix(".zip"), f"{entry.name}.pth", f"{entry.name}.safetensors")
