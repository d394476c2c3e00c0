"""Networks by name: their declarations, the keys of their configs, and how to build them.

The registry lists the modules in the folder `kit/models/families`. In predict.py it finds the families that
the script carries, because the script's importer lists its parts like a folder.

The network "own" is a class of the user's (`kit.models.own`). It is in no list, and its config declares it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kit.errors import KitError, did_you_mean
from kit.models import families
from kit.models.entry import Entry
from kit.models.network import Network
from kit.models.network_spec import NetworkSpec
from kit.typed_json import convert, from_plain, to_plain

_COMMON = frozenset({"network", "sync_bn"})
"""Keys that every network's config may have."""
OWN = "own"
"""Name of the network that a class of the user's is."""


def names() -> list[str]:
    """Return the names of all registered networks, sorted."""
    return sorted(_registry())


def spec(name: str) -> NetworkSpec:
    """Return the declaration of a network.

    Raises:
        KitError: no network has that name.
    """
    return _entry(name).spec


def spec_of(config: Mapping[str, Any]) -> NetworkSpec:
    """Return the declaration of the network of a config, as `build` takes it.

    Raises:
        KitError: as `check`.
    """
    return sized(config)[0].spec


def family(name: str) -> str:
    """Return the name of the module that defines a network, e.g. "kit.models.families.unet".

    Raises:
        KitError: no network has that name.
    """
    _entry(name)
    # Not one text: predict.py would carry the module for everybody.
    return f"kit.models.{OWN}" if name == OWN else _registry()[name][0]


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
        KitError: the network or a key is unknown, or a value has the wrong type or size. Only `build` finds
            sizes that the network's library refuses.
    """
    sized(config)


def build(config: Mapping[str, Any]) -> Network:
    """Build a network with random weights.

    Args:
        config: {"network": name, ...}; the other keys choose its size, see `Entry.size`. Every network takes
            "sync_bn", which `kit.local.training.prepare` obeys.

    Returns:
        A `SemanticNetwork` or an `InstanceNetwork`, as `spec(name).kind` says.

    Raises:
        KitError: as `check`, or two sizes do not fit each other, or a library is not installed.
    """
    entry, size = sized(config)
    declared = entry.spec
    try:
        return entry.build(declared, size)
    except ImportError as error:
        raise KitError(
            f"network {declared.name!r} cannot import {error.name or 'a library'}: {error}",
            fix=f"install {' and '.join(declared.requires)}",
        ) from error


def sized(config: Mapping[str, Any]) -> tuple[Entry, Any]:
    """Return a network's entry, and its published size with the values that the config changes.

    Args:
        config: as `build` takes it.

    Raises:
        KitError: as `check`.
    """
    entry = _entry(str(config.get("network")))
    where = f"network {entry.spec.name}"
    convert(bool, config.get("sync_bn", False), "sync_bn", where=where)
    given = {key: value for key, value in config.items() if key not in _COMMON}
    # {"network": "unet-regnety16", "sync_bn": True, "encoder_depth": 4} changes the encoder's depth only.
    published = to_plain(entry.size)
    size = from_plain(type(entry.size), {**published, **given}, where=where)
    return (replace(entry, spec=entry.declare(size)) if entry.declare else entry), size


@cache
def _registry() -> dict[str, tuple[str, Entry]]:
    """Return name of a network -> the name of its module, and its entry."""
    found: dict[str, tuple[str, Entry]] = {}
    for info in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        for entry in importlib.import_module(info.name).ENTRIES:
            assert entry.spec.name not in found, f"two networks are called {entry.spec.name}"
            found[entry.spec.name] = (info.name, entry)
    return found


def _entry(name: str) -> Entry:
    if name == OWN:
        own: Entry = importlib.import_module(f"kit.models.{OWN}").ENTRY
        return own
    if name not in _registry():
        raise KitError(
            f"no network is called {name!r}",
            fix=f"{did_you_mean(name, names())}choose one of {', '.join(names())}",
        )
    return _registry()[name][1]
