"""The registry's entry of one network; each module of `kit.models.families` has a tuple of them."""

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
        spec: the network's declaration.
        size: instance of a frozen dataclass with the published sizes. Its fields are the keys that a config
            may have besides "network"; their types and limits check the config's values.
        build: takes the declaration and a size, and returns the network with random weights.
        tiny: keys and values of the small form: the same architecture, small enough for tests on a CPU.
        declare: returns the declaration of a size, where the config makes it (`kit.models.own`).
    """

    # U-Net: size UnetSize(encoder_depth=5, ...), tiny {"encoder_depth": 4, ...}. The config
    # {"network": "unet-regnety16", "encoder_depth": 4} changes one published size.

    spec: NetworkSpec
    size: Any
    build: Callable[[NetworkSpec, Any], Network]
    tiny: Mapping[str, Any] = field(default_factory=dict)
    declare: Callable[[Any], NetworkSpec] | None = None
