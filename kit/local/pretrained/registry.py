"""Every published starting point by name."""

from __future__ import annotations

from kit.errors import KitError
from kit.local.pretrained import backbone_checkpoints, network_checkpoints
from kit.local.pretrained.entry import Pretrained

_REGISTRY = {entry.name: entry for entry in (*network_checkpoints.ENTRIES, *backbone_checkpoints.ENTRIES)}


def names() -> list[str]:
    """All registered starting points, sorted."""
    return sorted(_REGISTRY)


def get(name: str) -> Pretrained:
    """A starting point by its name.

    Raises:
        KitError: there is none of that name.
    """
    if name not in _REGISTRY:
        raise KitError(
            f"no published starting point is called {name!r}",
            fix="`python -m kit.models pretrained` lists them",
        )
    return _REGISTRY[name]


def by_file(file: str) -> Pretrained | None:
    """The starting point published under this file name (of a .zip: with or without that ending), if any."""
    for entry in _REGISTRY.values():
        if entry.file and file in {entry.file, entry.file.removesuffix(".zip")}:
            return entry
    return None
