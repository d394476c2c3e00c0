"""The published checkpoints by name."""

from __future__ import annotations

from kit.errors import KitError, did_you_mean
from kit.local.pretrained import backbone_checkpoints, network_checkpoints
from kit.local.pretrained.entry import Pretrained

_REGISTRY = {entry.name: entry for entry in (*network_checkpoints.ENTRIES, *backbone_checkpoints.ENTRIES)}


def names() -> list[str]:
    """Return the names of all registered checkpoints, sorted."""
    return sorted(_REGISTRY)


def get(name: str) -> Pretrained:
    """Return the registered checkpoint of a name.

    Raises:
        KitError: no checkpoint has that name.
    """
    if name not in _REGISTRY:
        raise KitError(
            f"no published checkpoint is called {name!r}",
            fix=f"{did_you_mean(name, _REGISTRY)}choose a name that `python -m kit.models pretrained` lists",
        )
    return _REGISTRY[name]


def by_file(file: str) -> Pretrained | None:
    """Return the checkpoint that was published under this file name, None if there is none.

    Args:
        file: name of the file; of a packed one with or without ".zip".
    """
    for entry in _REGISTRY.values():
        if entry.file and file in {entry.file, entry.file.removesuffix(".zip")}:
            return entry
    return None
