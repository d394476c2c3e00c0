"""Networks by name: `build` gives a module that declares its output semantics and normalises its own input.

Importing this package loads nothing, so that `python -m kit.models --help` answers at once. The module of a
name is imported, and torch with it, when the name is first used; a network's libraries when it is built.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kit.models.detections import Detections, InstanceTarget
    from kit.models.network import InstanceNetwork, Logits, Network, SemanticNetwork
    from kit.models.network_spec import NetworkSpec
    from kit.models.registry import build, check, family, names, spec, spec_of, tiny
    from kit.models.weights import load_weights, save_weights

__all__ = [
    "Detections",
    "InstanceNetwork",
    "InstanceTarget",
    "Logits",
    "Network",
    "NetworkSpec",
    "SemanticNetwork",
    "build",
    "check",
    "family",
    "load_weights",
    "names",
    "save_weights",
    "spec",
    "spec_of",
    "tiny",
]

_MODULES = {
    "kit.models.detections": ("Detections", "InstanceTarget"),
    "kit.models.network": ("InstanceNetwork", "Logits", "Network", "SemanticNetwork"),
    "kit.models.registry": ("build", "check", "family", "names", "spec", "spec_of", "tiny"),
    "kit.models.network_spec": ("NetworkSpec",),
    "kit.models.weights": ("load_weights", "save_weights"),
}


def __getattr__(name: str) -> Any:
    """Import the module of a name (PEP 562). No submodule may have one of these names: it would hide it."""
    for module, exported in _MODULES.items():
        if name in exported:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
