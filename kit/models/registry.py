"""Networks by name, each with its declaration, its builder and its small form."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from kit.errors import KitError
from kit.models import cbnet, detectors, segformer, segformer_b2, unet, vit_adapter
from kit.models.entry import Entry
from kit.models.network import Network
from kit.models.spec import NetworkSpec

_REGISTRY: dict[str, Entry] = {
    entry.spec.name: entry
    for module in (unet, segformer, segformer_b2, detectors, cbnet, vit_adapter)
    for entry in module.ENTRIES
}


def names() -> list[str]:
    """All registered networks, sorted."""
    return sorted(_REGISTRY)


def spec(name: str) -> NetworkSpec:
    """What a network declares.

    Raises:
        KitError: no network has that name.
    """
    return _entry(name).spec


def tiny(name: str) -> dict[str, Any]:
    """The plain dict of a network's small form: for tests, demos and the recipes' tiny forms.

    Raises:
        KitError: no network has that name.
    """
    return {"network": name, **_entry(name).tiny}


def build(config: Mapping[str, Any]) -> Network:
    """A network with random weights.

    Args:
        config: {"network": name, ...}; the other entries are the builder's arguments and choose its size.
            Every network takes "sync_bn": batch norms that share their statistics over the processes of a
            distributed run; state-dict names stay the same.

    Returns:
        A `SemanticNetwork` or an `InstanceNetwork`, as `spec(name).kind` says.

    Raises:
        KitError: unknown network or argument, or a library it needs is not installed.
    """
    parameters = {key: value for key, value in config.items() if key not in {"network", "sync_bn"}}
    entry = _entry(str(config.get("network")))
    declared = entry.spec
    try:
        module = entry.build(**parameters)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise KitError(
            f"network {declared.name!r}: {error}", fix="correct the entry in the network's config"
        ) from error
    except ImportError as error:
        raise KitError(
            f"network {declared.name!r} cannot import {error.name or 'a library'}: {error}",
            fix=f"install {' and '.join(declared.requires)}",
        ) from error
    if config.get("sync_bn", False):
        module.network = _shared_batch_norms(module.network, declared)
    return module


def _shared_batch_norms(network: nn.Module, declared: NetworkSpec) -> nn.Module:
    convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
    if "timm" in declared.requires:
        # timm's batch norms contain the activation, and torch's conversion would drop it.
        convert = importlib.import_module("timm.layers").convert_sync_batchnorm
    converted: nn.Module = convert(network)
    return converted


def _entry(name: str) -> Entry:
    if name not in _REGISTRY:
        raise KitError(f"no network is called {name!r}", fix=f"choose one of {', '.join(names())}")
    return _REGISTRY[name]
