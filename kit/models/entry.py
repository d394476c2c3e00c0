"""What a module of `kit.models` hands to the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.models.network import Network
from kit.models.spec import NetworkSpec


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network of the registry.

    Attributes:
        spec: its declaration.
        build: makes it with random weights; without arguments at published size. They are plain JSON values.
        tiny: arguments of its small form, the same architecture at a size for tests and demos on a CPU.
    """

    spec: NetworkSpec
    build: Callable[..., Network]
    tiny: Mapping[str, Any] = field(default_factory=dict)
