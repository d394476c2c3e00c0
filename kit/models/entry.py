"""What a module of `kit.models.families` tells the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.models.network import Network
from kit.models.network_spec import NetworkSpec


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network of the registry.

    Attributes:
        spec: its declaration.
        size: a frozen dataclass with the published sizes. Its fields are the words that a config may have
            beside "network"; their types and limits are what the config is checked against.
        build: makes the network with random weights from its declaration and a size.
        tiny: words of its small form: the same architecture at a size for tests and demos on a CPU.
    """

    spec: NetworkSpec
    size: Any
    build: Callable[[NetworkSpec, Any], Network]
    tiny: Mapping[str, Any] = field(default_factory=dict)
