"""Networks by name: `build` gives a module that declares its output semantics and normalises its own input.

Importing this needs torch only; a network's libraries are imported when it is built.
"""

from kit.models.detections import Detections, InstanceTarget
from kit.models.network import InstanceNetwork, Logits, Network, SemanticNetwork
from kit.models.registry import build, check, family, names, spec, tiny
from kit.models.spec import NetworkSpec
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
    "tiny",
]
