"""The parts of a recipe: network, optimiser, average and validation; each is checked when it is made.

The learning rate stands in `schedule`, the examples in `image_sets`; both are given on from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from kit import models
from kit.typed_json import Checked, Fraction, above
from train_local.recipes.image_sets import Data, ImageSet, PseudoRound
from train_local.recipes.schedule import Count, Rate, Schedule, Warmup

__all__ = [
    "Count",
    "Data",
    "Deviation",
    "Ema",
    "ImageSet",
    "NetworkConfig",
    "Optimiser",
    "ParameterGroup",
    "PseudoRound",
    "Rate",
    "Schedule",
    "Validation",
    "Warmup",
]


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
class ParameterGroup(Checked):
    """Parameters that the optimiser treats in another way than the rest.

    Attributes:
        match: a part of the parameter's name ("head"); the first group that matches takes the parameter. The
            word "1-D" means biases and every parameter of one dimension (scales and shifts of norms).
        lr_mult: learning rate over that of the rest.
        decay_mult: weight decay over that of the rest.
    """

    match: str
    lr_mult: Rate = 1.0
    decay_mult: Rate = 1.0


@dataclass(frozen=True, kw_only=True)
class Optimiser(Checked):
    """Optimiser and how it treats the parameters.

    Attributes:
        name: which optimiser.
        lr: peak learning rate.
        weight_decay: of the parameters that no group takes.
        betas: of Adam and AdamW.
        momentum: of SGD.
        amsgrad: of Adam and AdamW.
        groups: parameters with another learning rate or decay.
        layer_decay: factor of the learning rate from one layer of the encoder to the one below; None for one
            rate in all layers.
    """

    name: Literal["adamw", "adam", "sgd"]
    lr: Annotated[float, above(0)]
    weight_decay: Rate = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    momentum: Fraction = 0.9
    amsgrad: bool = False
    groups: tuple[ParameterGroup, ...] = ()
    layer_decay: Annotated[float, above(0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Ema(Checked):
    """Exponential moving average of parameters and buffers.

    Attributes:
        decay: share of the old mean that one step keeps.
        ramp: let the decay rise: after n updates it is min(decay, (1 + n) / (10 + n)).
        keep: "average" validates and saves the mean; "better" validates the raw weights as well and takes
            whichever of the two scores higher.
    """

    decay: Fraction
    ramp: bool = False
    keep: Literal["average", "better"] = "average"


@dataclass(frozen=True, kw_only=True)
class Validation(Checked):
    """When and how the held-out images are scored during training: by the competition's own metric.

    Attributes:
        every: units between two validations.
        unit: of `every`.
        views: under which the images are predicted; several are fused as on Kaggle.
        patience: validations without a better score that the run goes on after; one more ends it. None never
            ends early.
    """

    every: Count = 1
    unit: Literal["epoch", "iteration"] = "epoch"
    views: tuple[str, ...] = ("identity",)
    patience: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Deviation(Checked):
    """A value of the published training that the kit does not take over.

    Attributes:
        path: of the value in `show --json`, with dots: "batch.gpus".
        published: its value there.
        ours: the kit's.
        why: the reason, in a sentence.
    """

    path: str
    published: Any
    ours: Any
    why: str
