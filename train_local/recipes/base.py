"""What a recipe says: everything that decides a training run, in one frozen dataclass.

A recipe is made by a function of a file in this folder; `dataclasses.replace` on top of another one makes a
variant. All parts are checked when the recipe is made, and a recipe survives a round trip through JSON:
`from_plain(UnetRecipe, recipe.as_dict()) == recipe`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Literal

from kit.errors import KitError
from kit.inference import views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.semantic_settings import SemanticSettings
from kit.local.pretrained import registry as checkpoints
from kit.typed_json import Checked, Fraction, at_least, to_plain
from train_local import losses
from train_local.augment import AnyOperation
from train_local.recipes.settings import Count, Data, NetworkConfig, Optimiser, Rate, Schedule

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Checked, ABC):
    """One published network's training, and what inference needs to know about it.

    Attributes:
        name: unique; the tiny form has "-tiny" behind it. Also the run folder's name.
        competition: name in `kit.competitions`.
        network: which network, of what size.
        inference: how the trained network sees an image; decides whether the recipe is semantic or instance.
        views: names of `kit.inference.views`, the cheapest useful first.
        data: what an example is.
        augment: operations on an example, in order.
        optimiser: and its parameter groups.
        schedule: of the learning rate.
        epochs: length of the run; None when `iterations` says it.
        iterations: optimiser steps; None when `epochs` says it.
        batch_size: examples in a forward pass.
        accumulate: forward passes in an optimiser step.
        ema_decay: of the running mean of parameters and buffers, per step; 0 keeps none. With one, the mean
            is what is evaluated and saved.
        grad_clip: largest total L2 norm of the gradient; 0 does not clip.
        precision: as Lightning Fabric names it; "16-mixed" and "bf16-mixed" fall back to "32-true" on CPU.
        half: save the weights as fp16, half the size.
        losses: semantic: name in `train_local.losses.SEMANTIC` -> weight. Instance: end of the detector's own
            loss names, of `train_local.losses.INSTANCE`, -> weight; those not named keep the detector's.
        eval_every: epochs or iterations (the unit the length is given in) between evaluations.
        fold_count: folds the published split has; `prepare` makes as many unless told otherwise.
        folds: those trained when all are asked for.
        seed: of initialisation, sampling and augmentation.
        pretrained: published weights the training starts from: None is random weights; "timm" is the
            encoder's ImageNet weights; anything else names one of `kit.local.pretrained`, looked for in the
            folder of `--checkpoints`.
        earlier_stage: the recipe whose trained weights this one starts from; it is trained first.

    Raises:
        KitError: a part is wrong, or two parts do not fit together.
    """

    name: str
    competition: str
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
    accumulate: Count = 1
    ema_decay: Fraction = 0.0
    grad_clip: Rate = 0.0
    precision: Precision = "32-true"
    half: bool = False
    losses: Mapping[str, Rate]
    eval_every: Count = 1
    fold_count: Count
    folds: tuple[Annotated[int, at_least(0)], ...]
    seed: Annotated[int, at_least(0)] = 0
    pretrained: str | None = None
    earlier_stage: Recipe | None = None

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
        if self.pretrained not in (None, "timm"):
            checkpoints.get(self.pretrained)  # raises for an unknown name
        if self.network.spec.kind != self.kind:
            raise KitError(
                f"recipe {self.name!r}: network {self.network.name} predicts {self.network.spec.kind} masks, "
                f"but the inference settings are {type(self.inference).__name__}",
                fix="use SemanticSettings for semantic networks and InstanceSettings for instance networks",
            )
        self._check_views()
        losses.check(self.losses, self.kind)

    def _check_views(self) -> None:
        if not self.views:
            raise KitError(f"recipe {self.name!r} has no views", fix='give at least ("identity",)')
        # A semantic pass may average a set of views, "identity+hflip". An instance pass has a single view.
        for view in self.views:
            (views.get_set if self.kind == "semantic" else views.get)(view)

    @abstractmethod
    def tiny(self) -> Recipe:
        """Return the same recipe with a network and a schedule for two CPU cores and a few minutes."""

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
        return (self.epochs or 0) * max(examples // (self.batch_size * self.accumulate), 1)

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
        return value
