"""Networks by name: `build` gives a module that declares its output semantics and normalises its own input.

Importing this needs torch only; a network's libraries are imported when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kit.errors import KitError
from kit.models import detectors, unet
from kit.models.detections import Detections, InstanceTarget
from kit.models.network import InstanceNetwork, Network, SemanticNetwork
from kit.models.spec import NetworkSpec
from kit.models.weights import load_weights, save_weights

__all__ = [
    "Detections",
    "InstanceNetwork",
    "InstanceTarget",
    "Network",
    "NetworkSpec",
    "SemanticNetwork",
    "build",
    "load_weights",
    "names",
    "save_weights",
    "spec",
]

_REGISTRY: dict[str, tuple[NetworkSpec, Callable[..., Network]]] = {
    unet.SPEC.name: (unet.SPEC, unet.build),
    detectors.SPEC.name: (detectors.SPEC, detectors.build),
}


def names() -> list[str]:
    """All registered networks, sorted."""
    return sorted(_REGISTRY)


def spec(name: str) -> NetworkSpec:
    """What a network declares.

    Raises:
        KitError: no network has that name.
    """
    return _entry(name)[0]


def build(config: Mapping[str, Any]) -> Network:
    """A network with random weights.

    Args:
        config: {"network": name, ...}; the other entries are the builder's arguments and choose its size.

    Returns:
        A `SemanticNetwork` or an `InstanceNetwork`, as `spec(name).kind` says.

    Raises:
        KitError: unknown network or argument, or a library it needs is not installed.
    """
    parameters = {key: value for key, value in config.items() if key != "network"}
    declared, builder = _entry(str(config.get("network")))
    try:
        return builder(**parameters)
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


def _entry(name: str) -> tuple[NetworkSpec, Callable[..., Network]]:
    if name not in _REGISTRY:
        raise KitError(f"no network is called {name!r}", fix=f"choose one of {', '.join(names())}")
    return _REGISTRY[name]
