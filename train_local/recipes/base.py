"""What a recipe says: everything that decides a training run, in one frozen dataclass.

A recipe is made by a function of a file in this folder; `dataclasses.replace` on top of another one makes a
variant. All parts are checked when the recipe is made, and a recipe survives a round trip through JSON:
`from_plain(UnetRecipe, recipe.as_dict()) == recipe`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from kit.errors import KitError, did_you_mean
from kit.inference import views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.semantic_settings import SemanticSettings
from kit.local.pretrained import registry as checkpoints
from kit.typed_json import Checked, above, at_least, to_plain
from train_local.augment import AnyOperation
from train_local.recipes import loss_names
from train_local.recipes.settings import (
    Count,
    Data,
    Deviation,
    Ema,
    NetworkConfig,
    Optimiser,
    Rate,
    Schedule,
    Validation,
)

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Checkpoint = Literal["best", "last"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Checked, ABC):
    """One published network's training, and what inference needs to know about it.

    Attributes:
        name: unique; the tiny form has "-tiny" behind it. Also the run folder's name.
        competition: name in `kit.competitions`.
        stage: 1, 2, ... of several trainings in a row; None where there is one.
        variant: "published" has the values of the published code; "text" those of its authors' text where the
            two disagree; further ones are explained where a recipe has them.
        network: which network, of what size.
        inference: how the trained network sees an image; decides whether the recipe is semantic or instance.
        views: names of `kit.inference.views`, the cheapest useful first.
        data: what an example is.
        augment: operations on an example, in order.
        optimiser: and its parameter groups.
        schedule: of the learning rate.
        epochs: length of the run; None when `iterations` says it.
        iterations: optimiser steps; None when `epochs` says it.
        batch_size: examples in a forward pass of one GPU.
        gpus: published number of GPUs. An optimiser step takes batch_size * gpus * accumulate examples,
            whatever the number of processes that compute it.
        accumulate: published forward passes of a GPU in an optimiser step.
        sync_bn: batch norms take their statistics over all GPUs.
        ema: running mean of parameters and buffers; None keeps none.
        loss_scale: first scale of the loss in "16-mixed"; None takes torch's.
        grad_clip: largest total L2 norm of the gradient; 0 does not clip.
        precision: as Lightning Fabric names it; "16-mixed" and "bf16-mixed" fall back to "32-true" on CPU.
        half: save the weights as fp16, half the size.
        losses: semantic: name in `loss_names.SEMANTIC` -> weight. Instance: end of the detector's own loss
            names, of `loss_names.INSTANCE`, -> weight; those not named keep the detector's.
        validation: when and how held-out images are scored during the run.
        hand_over: the weights that the run gives on: those of the best validation, or those of its end.
        fold_count: folds the published split has; `prepare` makes as many unless told otherwise.
        folds: those trained when all are asked for.
        seed: of initialisation, sampling and augmentation.
        pretrained: published weights the training starts from: None is random weights; "timm" is the
            encoder's ImageNet weights; anything else names one of `kit.local.pretrained`, looked for in the
            folder of `--checkpoints`.
        earlier_stage: the recipe whose trained weights this one starts from; it is trained first.
        earlier_checkpoint: which weights of that run.
        deviations: published values that are not taken over, with reasons. They describe the recipe and
            change no result, so they are no part of `as_dict` and of a comparison.
        variants: name of a variant -> the fields in which it differs. No part of `as_dict` either.

    Raises:
        KitError: a part is wrong, or two parts do not fit together.
    """

    name: str
    competition: str
    stage: Count | None = None
    variant: str = "published"
    network: NetworkConfig
    inference: SemanticSettings | InstanceSettings
    views: tuple[str, ...]
    data: Data
    augment: tuple[AnyOperation, ...]
    optimiser: Optimiser
    schedule: Schedule
    epochs: Count | None = None
    iterations: Count | None = None
    batch_size: Count
    gpus: Count = 1
    accumulate: Count = 1
    sync_bn: bool = False
    ema: Ema | None = None
    grad_clip: Rate = 0.0
    precision: Precision = "32-true"
    loss_scale: Annotated[float, above(0)] | None = None
    half: bool = False
    losses: Mapping[str, Rate]
    validation: Validation = field(default_factory=Validation)
    hand_over: Checkpoint = "best"
    fold_count: Count
    folds: tuple[Annotated[int, at_least(0)], ...]
    seed: Annotated[int, at_least(0)] = 0
    pretrained: str | None = None
    earlier_stage: Recipe | None = None
    earlier_checkpoint: Checkpoint = "best"
    deviations: tuple[Deviation, ...] = field(default=(), compare=False)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Each field is right by itself now; what follows are the rules across fields.
        if (self.epochs is None) == (self.iterations is None):
            raise KitError(
                f"recipe {self.name!r} needs either epochs or iterations", fix="set one, leave the other None"
            )
        if not self.folds or max(self.folds) >= self.fold_count:
            raise KitError(
                f"recipe {self.name!r} trains folds {self.folds}, but there are {self.fold_count}",
                fix=f"name folds from 0 to {self.fold_count - 1}",
            )
        for what, values in (("folds", self.folds), ("views", self.views)):
            if len(set(values)) < len(values):
                raise KitError(f"recipe {self.name!r} names one of its {what} twice", fix="name each once")
        if self.validation.unit == "epoch" and self.epochs is None:
            raise KitError(
                f"recipe {self.name!r} counts iterations, but its validations count epochs",
                fix='give it validation=Validation(unit="iteration", every=...)',
            )
        if self.pretrained not in (None, "timm"):
            checkpoints.get(self.pretrained)  # raises for an unknown name
        if self.network.spec.kind != self.kind:
            raise KitError(
                f"recipe {self.name!r}: network {self.network.name} predicts {self.network.spec.kind} masks, "
                f"but the inference settings are {type(self.inference).__name__}",
                fix="use SemanticSettings for semantic networks and InstanceSettings for instance networks",
            )
        self._check_views()
        loss_names.check(self.losses, self.kind)

    def _check_views(self) -> None:
        if not self.views or not self.validation.views:
            raise KitError(f"recipe {self.name!r} has no views", fix='give at least ("identity",)')
        # A semantic pass may average a set of views, "identity+hflip". An instance pass has a single view.
        for view in (*self.views, *self.validation.views):
            (views.get_set if self.kind == "semantic" else views.get)(view)

    @abstractmethod
    def tiny(self) -> Recipe:
        """Return the same recipe with a network and a schedule for two CPU cores and a few minutes."""

    def in_variant(self, variant: str) -> Recipe:
        """Return another variant; its earlier stage comes in that variant, too.

        Raises:
            KitError: there is none.
        """
        if variant == self.variant:
            return self
        stage = self.earlier_stage
        if variant not in self.variant_names():
            raise KitError(
                f"recipe {self.name!r} has no variant {variant!r}",
                fix=f"{did_you_mean(variant, self.variant_names())}it has {', '.join(self.variant_names())}"
                + ("; text and code of its authors agree" if variant == "text" else ""),
            )
        changes: dict[str, Any] = {"name": f"{self.name}-{variant}", "variant": variant, "variants": {}}
        if stage is not None and variant in stage.variant_names():
            changes["earlier_stage"] = stage.in_variant(variant)
        return replace(self, **{**changes, **self.variants.get(variant, {})})

    def variant_names(self) -> list[str]:
        """Return the names of its variants, those of its earlier stages included."""
        stage = self.earlier_stage.variant_names() if self.earlier_stage is not None else []
        return list(dict.fromkeys([self.variant, *self.variants, *stage]))

    @property
    def kind(self) -> Literal["semantic", "instance"]:
        """What the network predicts."""
        return "semantic" if isinstance(self.inference, SemanticSettings) else "instance"

    def total_steps(self, examples: int) -> int:
        """Return the optimiser steps of the whole run.

        Args:
            examples: training examples in an epoch.
        """
        if self.iterations is not None:
            return self.iterations
        return (self.epochs or 0) * self.epoch_steps(examples)

    def epoch_steps(self, examples: int) -> int:
        """Return the optimiser steps of an epoch: 331 examples by 6 are 56; 55 if the rest is dropped."""
        most = examples + (0 if self.data.drop_last else self.step_examples - 1)
        return max(most // self.step_examples, 1)

    def validation_steps(self, examples: int) -> int:
        """Return the optimiser steps from one validation to the next, with so many examples in an epoch."""
        unit = self.epoch_steps(examples) if self.validation.unit == "epoch" else 1
        return self.validation.every * unit

    @property
    def passes(self) -> int:
        """Forward passes of an optimiser step, over all GPUs."""
        return self.gpus * self.accumulate

    @property
    def step_examples(self) -> int:
        """Examples of an optimiser step."""
        return self.batch_size * self.passes

    def inference_dict(self) -> dict[str, Any]:
        """Return the inference settings for `ensemble.json`: those that differ from their defaults."""
        defaults = {item.name: item.default for item in fields(self.inference) if item.default is not MISSING}
        # InstanceSettings(size=480) gives {"size": 480}: short in ensemble.json, and equal settings give
        # equal dicts, whether or not a recipe spelled a default out.
        values: dict[str, Any] = to_plain(self.inference)
        return {key: value for key, value in values.items() if value != defaults.get(key, MISSING)}

    def as_dict(self) -> dict[str, Any]:
        """Return the plain JSON value; two recipes with equal ones train the same network."""
        value: dict[str, Any] = to_plain(self)
        stage: dict[str, Any] | None = value
        while stage is not None:
            del stage["deviations"], stage["variants"]
            stage = stage["earlier_stage"]
        return value


def stage_fold(earlier: Recipe, fold: int) -> int:
    """Return the fold of an earlier stage that a later stage's fold starts from.

    It is the same one, or the earlier stage's first where it does not train that: a stage that trains fold 0
    only serves all folds of the recipe after it.
    """
    return fold if fold in earlier.folds else earlier.folds[0]
