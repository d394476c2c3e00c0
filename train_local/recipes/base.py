"""What a recipe says: everything that decides a training run, in frozen dataclasses.

A recipe is built by a function of its own module (`train_local.recipes.get(name)`); a variant is
`dataclasses.replace` on top of another. All of it survives a round trip through JSON (`as_dict`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kit.errors import KitError

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """Optimiser and its parameter groups.

    Attributes:
        name: "adamw" or "sgd".
        lr: peak learning rate.
        weight_decay: for parameters of two or more dimensions; for all of them unless `no_decay_1d`.
        betas: of AdamW.
        momentum: of SGD.
        amsgrad: of AdamW.
        no_decay_1d: biases and norm weights are not decayed.
    """

    name: Literal["adamw", "sgd"]
    lr: float
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    amsgrad: bool = False
    no_decay_1d: bool = False


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rate by step: up over a warm-up, then half a cosine down.

    Attributes:
        warmup_steps: optimiser steps of the warm-up, when `warmup_fraction` is 0.
        warmup_fraction: warm-up as a part of all steps.
        warmup_kind: shape of the rise.
        start_factor: learning rate of the first step over the peak.
        final_factor: learning rate after the last step over the peak.
    """

    warmup_steps: int = 0
    warmup_fraction: float = 0.0
    warmup_kind: Literal["linear", "cosine"] = "linear"
    start_factor: float = 0.001
    final_factor: float = 0.0

    def factor(self, step: int, total: int) -> float:
        """What the peak learning rate is multiplied by.

        Args:
            step: optimiser steps already taken, from 0.
            total: optimiser steps of the whole run.
        """
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
class Step:
    """One augmentation: `train_local.data.augment` knows the names.

    Attributes:
        name: of the operation, e.g. "flip"; "one_of" draws one of `choices`, "all_of" does them in order.
        p: probability that it is done.
        options: plain numbers it takes.
        choices: the steps inside "one_of" and "all_of"; their `p` weighs the draw of "one_of".
    """

    name: str
    p: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Data:
    """What one training example is.

    Attributes:
        tile: side, in source pixels, of the square that is read; None reads whole images.
        scale: network pixels per source pixel, e.g. 1/3: a tile of 3072 becomes 1024.
        crop: side, in network pixels, of the square cut from the resized tile; None takes all of it.
        crop_centre: probability that this square is the tile's centre, not a random place.
        object_tiles: share of examples centred on an annotated object; the others come from the grid.
        sampling: "tiles" walks once an epoch over object and grid tiles; "random" draws places anew.
        datasets: of the vasculature tables, which `dataset` numbers are used; None takes all labelled images,
            as does a competition without such numbers.
        examples_per_image: examples that one image stands for in an epoch (of "random", and of whole images).
        workers: data loader processes.
    """

    tile: int | None
    scale: float
    crop: int | None
    crop_centre: float = 0.0
    object_tiles: float = 0.5
    sampling: Literal["tiles", "random"] = "tiles"
    datasets: tuple[int, ...] | None = None
    examples_per_image: int = 1
    workers: int = 4


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """One published network's training, and what inference needs to know about it.

    Attributes:
        name: unique; the tiny form has "-tiny" behind it. Also the run folder's name.
        competition: name in `kit.competitions`.
        network: plain dict for `kit.models.build`.
        inference: plain dict of `SemanticSettings` or `InstanceSettings`.
        views: names of `kit.inference.views`, the cheapest useful first.
        data: what an example is.
        augment: steps on an example, in order.
        optimiser: and its parameter groups.
        schedule: of the learning rate.
        epochs: length of the run; None when `iterations` says it.
        iterations: optimiser steps; None when `epochs` says it.
        batch_size: examples in a forward pass.
        accumulate: forward passes in an optimiser step.
        ema_decay: of the running mean of parameters and buffers, a step; 0 keeps none. With one, the mean is
            what is evaluated and saved.
        grad_clip: largest total L2 norm of the gradient; 0 does not clip.
        precision: as Lightning Fabric names it; "16-mixed" and "bf16-mixed" fall back to "32-true" on CPU.
        half: save the weights as fp16, half the size.
        losses: semantic: name in `train_local.losses` -> weight. Instance: end of the detector's own loss
            names -> weight; those not named keep the detector's.
        eval_every: epochs or iterations (the unit the length is given in) between evaluations.
        fold_count: folds the published split has; `prepare` makes as many unless told otherwise.
        folds: those trained when all are asked for.
        seed: of initialisation, order and augmentation.
        start: where the first weights come from: None is random; "timm" is the encoder's ImageNet weights;
            anything else names one of `kit.local.pretrained`, looked for in the folder of `--checkpoints`.
        before: the recipe of an earlier stage whose weights this one starts from, trained first.
    """

    name: str
    competition: str
    network: Mapping[str, Any]
    inference: Mapping[str, Any]
    views: tuple[str, ...]
    data: Data
    augment: tuple[Step, ...]
    optimiser: Optimiser
    schedule: Schedule
    epochs: int | None = None
    iterations: int | None = None
    batch_size: int
    accumulate: int = 1
    ema_decay: float = 0.0
    grad_clip: float = 0.0
    precision: Precision = "32-true"
    half: bool = False
    losses: Mapping[str, float]
    eval_every: int = 1
    fold_count: int
    folds: tuple[int, ...]
    seed: int = 0
    start: str | None = None
    before: Recipe | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.iterations is None):
            raise KitError(
                f"recipe {self.name!r} needs either epochs or iterations", fix="set one, leave the other None"
            )
        if not self.views:
            raise KitError(f"recipe {self.name!r} has no views", fix='give at least ("identity",)')
        if not self.folds or not set(self.folds) <= set(range(self.fold_count)):
            raise KitError(
                f"recipe {self.name!r} trains folds {self.folds}, but there are {self.fold_count}",
                fix=f"name folds from 0 to {self.fold_count - 1}",
            )

    @abstractmethod
    def tiny(self) -> Recipe:
        """The same recipe with a network and a schedule small enough for two CPU cores and a few minutes."""

    def total_steps(self, examples: int) -> int:
        """Optimiser steps of the whole run.

        Args:
            examples: training examples in an epoch.
        """
        if self.iterations is not None:
            return self.iterations
        return (self.epochs or 0) * max(examples // (self.batch_size * self.accumulate), 1)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value; two recipes with equal ones train the same network."""
        value: dict[str, Any] = _plain(asdict(self))
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
