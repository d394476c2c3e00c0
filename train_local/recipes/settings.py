"""The parts of a recipe: network, optimiser, learning rate and examples; each is checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from kit import models
from kit.typed_json import Checked, Fraction, above, at_least

Count = Annotated[int, at_least(1)]
Rate = Annotated[float, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Checked):
    """A network by name, and the arguments in which it differs from the published size.

    Attributes:
        name: in `kit.models`.
        arguments: what `kit.models.build` takes beside the name, as plain JSON values: {"encoder_depth": 3}.

    Raises:
        KitError: no network has that name, or it has no such argument, or a value has the wrong type.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        models.check(self.as_dict())

    @property
    def spec(self) -> models.NetworkSpec:
        """What the network declares."""
        return models.spec(self.name)

    def tiny(self) -> NetworkConfig:
        """Return the same network at the size for tests and demos on a CPU."""
        small = {key: value for key, value in models.tiny(self.name).items() if key != "network"}
        return replace(self, arguments={**self.arguments, **small})

    def as_dict(self) -> dict[str, Any]:
        """Return the plain dict that `kit.models.build` and `ensemble.json` take."""
        return {"network": self.name, **self.arguments}


@dataclass(frozen=True, kw_only=True)
class Optimiser(Checked):
    """Optimiser and how it treats the parameters.

    Attributes:
        name: which optimiser.
        lr: peak learning rate.
        weight_decay: for parameters of two or more dimensions; for all of them unless `no_decay_1d`.
        betas: of AdamW.
        momentum: of SGD.
        amsgrad: of AdamW.
        no_decay_1d: biases and norm weights are not decayed.
    """

    name: Literal["adamw", "sgd"]
    lr: Annotated[float, above(0)]
    weight_decay: Rate = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    momentum: Fraction = 0.9
    amsgrad: bool = False
    no_decay_1d: bool = False


@dataclass(frozen=True, kw_only=True)
class Schedule(Checked):
    """Learning rate by step: up over a warm-up, then down along half a cosine.

    With 100 steps, a warm-up of 20, start 0.1 and final 0.02, the peak rate is multiplied by

        step     0    10    20    60   100
        factor  0.10  0.55  1.00  0.51  0.02

    Attributes:
        warmup_steps: optimiser steps of the warm-up; if 0, `warmup_fraction` gives its length.
        warmup_fraction: warm-up as a part of all steps.
        warmup_kind: shape of the rise.
        start_factor: learning rate of the first step over the peak.
        final_factor: learning rate after the last step over the peak.
    """

    warmup_steps: Annotated[int, at_least(0)] = 0
    warmup_fraction: Fraction = 0.0
    warmup_kind: Literal["linear", "cosine"] = "linear"
    start_factor: Rate = 0.001
    final_factor: Rate = 0.0

    def factor(self, step: int, total: int) -> float:
        """Return what the peak learning rate is multiplied by.

        Args:
            step: optimiser steps already taken, from 0.
            total: optimiser steps of the whole run.
        """
        # The last step is never part of the warm-up, so that a very short run has a peak too.
        warmup = self.warmup_steps or round(self.warmup_fraction * total)
        warmup = min(warmup, max(total - 1, 0))
        if step < warmup:
            rise = step / warmup
            if self.warmup_kind == "cosine":
                rise = (1 - math.cos(math.pi * rise)) / 2
            return self.start_factor + (1 - self.start_factor) * rise
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, kw_only=True)
class Data(Checked):
    """What one training example is.

    Attributes:
        tile: side, in source pixels, of the square that is read; None reads whole images.
        scale: network pixels per source pixel, e.g. 1/3: a tile of 3072 becomes 1024.
        crop: side, in network pixels, of the square cut from the resized tile; None takes all of it.
        crop_centre: probability that this square is the tile's centre, not a random place.
        object_tiles: share of examples centred on an annotated object; the others come from the grid.
        sampling: "tiles" visits every object and grid tile once per epoch; "random" draws new places.
        datasets: of the vasculature tables, which `dataset` numbers are used; None takes all labelled images,
            as does a competition without such numbers.
        examples_per_image: examples that one image stands for in an epoch (of "random", and of whole images).
        workers: data loader processes.
    """

    tile: Count | None
    scale: Annotated[float, above(0)]
    crop: Count | None
    crop_centre: Fraction = 0.0
    object_tiles: Fraction = 0.5
    sampling: Literal["tiles", "random"] = "tiles"
    datasets: tuple[int, ...] | None = None
    examples_per_image: Count = 1
    workers: Annotated[int, at_least(0)] = 4
