"""Networks by name: what each declares, which words its config takes, and how it is built.

The registry looks into the folder `kit/models/families`. Inside predict.py it finds the families that the
script carries, because the script's importer lists its parts in the same way.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import nn

from kit.errors import KitError
from kit.models import families
from kit.models.entry import Entry
from kit.models.network import Network
from kit.models.network_spec import NetworkSpec
from kit.typed_json import from_plain, to_plain

_COMMON = frozenset({"network", "sync_bn"})
"""Words that every network's config may have."""


def names() -> list[str]:
    """Return the names of all registered networks, sorted."""
    return sorted(_registry())


def spec(name: str) -> NetworkSpec:
    """Return what a network declares.

    Raises:
        KitError: no network has that name.
    """
    return _entry(name).spec


def family(name: str) -> str:
    """Return the name of the module that a network stands in: "kit.models.families.unet".

    Raises:
        KitError: no network has that name.
    """
    _entry(name)
    return _registry()[name][0]


def tiny(name: str) -> dict[str, Any]:
    """Return the config of a network's small form, for tests, demos and the recipes' tiny forms.

    Raises:
        KitError: no network has that name.
    """
    return {"network": name, **_entry(name).tiny}


def check(config: Mapping[str, Any]) -> None:
    """Check a network's config as `build` does, without building it and without its libraries.

    Args:
        config: as `build` takes it.

    Raises:
        KitError: unknown network, a word that it does not know, or a value of the wrong type or size. Sizes
            that only the network's library can refuse are found by `build`.
    """
    _sized(config)


def build(config: Mapping[str, Any]) -> Network:
    """Build a network with random weights.

    Args:
        config: {"network": name, ...}; the other words choose its size, see `Entry.size`.
            Every network takes "sync_bn": batch norms that share their statistics over the processes of a
            distributed run; state-dict names stay the same.

    Returns:
        A `SemanticNetwork` or an `InstanceNetwork`, as `spec(name).kind` says.

    Raises:
        KitError: as `check`, or sizes that do not fit each other, or a library it needs is not installed.
    """
    entry, size = _sized(config)
    declared = entry.spec
    try:
        module = entry.build(declared, size)
    except ImportError as error:
        raise KitError(
            f"network {declared.name!r} cannot import {error.name or 'a library'}: {error}",
            fix=f"install {' and '.join(declared.requires)}",
        ) from error
    if config.get("sync_bn", False):
        module.network = _shared_batch_norms(module.network, declared)
    return module


def _sized(config: Mapping[str, Any]) -> tuple[Entry, Any]:
    """The network's entry, and its published size with the config's words in place of the published ones."""
    entry = _entry(str(config.get("network")))
    words = {key: value for key, value in config.items() if key not in _COMMON}
    published = to_plain(entry.size)
    size = from_plain(type(entry.size), {**published, **words}, where=f"network {entry.spec.name}")
    return entry, size


def _shared_batch_norms(network: nn.Module, declared: NetworkSpec) -> nn.Module:
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
    if "timm" in declared.requires:
        # timm's batch norms contain the activation, and torch's conversion would drop it.
        convert = importlib.import_module("timm.layers").convert_sync_batchnorm
    converted: nn.Module = convert(network)
    return converted


@cache
def _registry() -> dict[str, tuple[str, Entry]]:
    """Name of the network -> the module it stands in, and its entry."""
    found: dict[str, tuple[str, Entry]] = {}
    for info in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        for entry in importlib.import_module(info.name).ENTRIES:
            assert entry.spec.name not in found, f"two networks are called {entry.spec.name}"
            found[entry.spec.name] = (info.name, entry)
    return found


def _entry(name: str) -> Entry:
    if name not in _registry():
        raise KitError(f"no network is called {name!r}", fix=f"choose one of {', '.join(names())}")
    return _registry()[name][1]
