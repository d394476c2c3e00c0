"""What differs between training a semantic and an instance network: examples, batches and losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.data import default_collate

from kit.local.training import prepare
from kit.models import Network, build
from train_local import augment
from train_local.data.balanced_tiles import BalancedTiles
from train_local.data.image_choice import labelled_ids
from train_local.data.image_crops import ImageCrops
from train_local.data.instance_tiles import InstanceTiles
from train_local.data.instance_tiles import collate as collate_tiles
from train_local.data.prepared import Prepared
from train_local.data.sampler import ByPosition, Position
from train_local.data.slide_crops import SlideCrops
from train_local.engine import losses
from train_local.recipes.settings import Data
from train_local.runs import Run


class Examples(ByPosition, Protocol):
    """Training examples that know their images."""

    def image_of(self, position: Position, /) -> str:
        """Id of the image that an example comes from."""


@dataclass(frozen=True)
class TrainingSetup:
    """What the training loop works with.

    Attributes:
        network: with random weights.
        examples: take (step, item).
        epoch: examples of an epoch.
        collate: list of examples -> batch.
        losses: (wrapped network, batch) -> weighted terms, to be summed.
    """

    network: Network
    examples: Examples
    epoch: int
    collate: Callable[[list[Any]], Any]
    losses: Callable[[nn.Module, Any], dict[str, Tensor]]


def make_setup(run: Run, prepared: Prepared) -> TrainingSetup:
    """Return the setup of a run.

    Raises:
        KitError: data and recipe do not fit together, the network cannot be built, or an augmentation does
            not exist.
    """
    augment.check(run.recipe.augment, run.recipe.kind, recipe=run.recipe.name)
    return _semantic(run, prepared) if prepared.kind == "semantic" else _instance(run, prepared)


def _network(run: Run) -> Network:
    config = run.recipe.network.as_dict()
    # On the CPU torch has no batch norm that shares its statistics; there are no published values for it.
    return prepare(build(config), config | ({"sync_bn": True} if run.recipe.sync_bn else {}))


def _semantic(run: Run, prepared: Prepared) -> TrainingSetup:
    recipe = run.recipe
    network = _network(run)
    crops = _examples_of(recipe.data)(
        prepared,
        labelled_ids(prepared, run.fold, recipe.data.sets),
        recipe.data,
        augment=partial(augment.semantic, recipe.augment),
        seed=run.seed,
        per_step=recipe.step_examples,
    )

    # `logits=True`: losses take raw logits of all heads. Without it the network returns one map for
    # inference, in some networks as probabilities, whose logarithm is infinite once they are rounded to 0.
    def weighted_losses(module: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x_NCHW, target_NCHW = batch
        return losses.semantic(recipe.losses, module(x_NCHW, logits=True), target_NCHW)

    return TrainingSetup(network, crops, len(crops), default_collate, weighted_losses)


def _examples_of(data: Data) -> type[ImageCrops | BalancedTiles | SlideCrops]:
    """How a semantic recipe's images become examples."""
    if data.image_side is not None:
        return ImageCrops
    return BalancedTiles if data.sampling == "balanced" else SlideCrops


def _instance(run: Run, prepared: Prepared) -> TrainingSetup:
    recipe = run.recipe
    network = _network(run)
    tiles = InstanceTiles(
        prepared,
        run.fold,
        recipe.data,
        augment=partial(augment.instances, recipe.augment),
        seed=run.seed,
        per_step=recipe.step_examples,
        labels=run.root / "labels",
    )

    # A detector computes its own losses: anchors and proposals are matched with the targets inside it.
    def weighted_losses(module: nn.Module, batch: tuple[Tensor, Any]) -> dict[str, Tensor]:
        x_NCHW, targets = batch
        return losses.weighted(recipe.losses, module(x_NCHW, targets))

    return TrainingSetup(network, tiles, len(tiles), collate_tiles, weighted_losses)
