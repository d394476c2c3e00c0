"""Where a run's initial weights come from: an earlier stage, ImageNet, a published checkpoint, or chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local.pretrained.load import load_pretrained
from kit.local.pretrained.store import find
from kit.local.sidecars import read_sidecar
from kit.models import Network, load_weights
from train_local.recipes.base import Recipe, stage_fold


@dataclass(frozen=True)
class InitialWeights:
    """The weights a run begins with.

    Attributes:
        identity: sha256 of the file, "timm", or None for random weights.
        path: of the file, if it is one.
    """

    identity: str | None = None
    path: Path | None = None


def find_initial_weights(recipe: Recipe, fold: int, runs: Path, published: Path | None) -> InitialWeights:
    """Find the weights a run begins with.

    Args:
        recipe: whose `earlier_stage` and `pretrained` say what is needed.
        fold: of the run; `stage_fold` says which one of the earlier stage is taken.
        runs: folder of all runs.
        published: folder of checkpoints, as `kit.models fetch` and `convert` write them. One that is only
            fetched is converted here, once.

    Raises:
        KitError: the earlier stage is not trained yet, or the checkpoint is not in the folder or not of this
            network.
    """
    if recipe.earlier_stage is not None:
        earlier = recipe.earlier_stage
        folder = runs / earlier.name / f"fold{stage_fold(earlier, fold)}"
        path = folder / f"{recipe.earlier_checkpoint}.safetensors"
        if not path.is_file():
            raise KitError(
                f"{recipe.name} starts from {earlier.name}, which is not trained yet",
                where=path,
                fix=f"run `{_command(earlier)}` first, or `train-all`, which knows the order",
            )
        return InitialWeights(str(read_sidecar(path, kind="weights")["sha256"]), path)
    if recipe.pretrained is not None and recipe.pretrained != "timm":
        path = find(recipe.pretrained, recipe.network.as_dict(), published)
        return InitialWeights(sha256_file(path), path)
    return InitialWeights(recipe.pretrained)


def _command(recipe: Recipe) -> str:
    """The verb that trains a recipe: "train detectors-r50-stage1 --tiny"."""
    name, options = recipe.name, ""
    if name.endswith("-tiny"):
        name, options = name.removesuffix("-tiny"), " --tiny"
    if recipe.variant != "published":
        name, options = name.removesuffix(f"-{recipe.variant}"), f"{options} --variant {recipe.variant}"
    return f"train {name}{options}"


def load_initial_weights(network: Network, recipe: Recipe, initial: InitialWeights) -> None:
    """Fill a new network with the weights its run begins with.

    Raises:
        KitError: the weights cannot be fetched, or they belong to another network.
    """
    # The weights of an earlier stage fit name by name. A published checkpoint may lack parts (an encoder
    # only) or have more (a classifier), and `load_pretrained` reports which parts it filled.
    if initial.path is not None and recipe.earlier_stage is not None:
        load_weights(network, initial.path)
    elif initial.path is not None:
        load_pretrained(network, initial.path)
    elif initial.identity == "timm":
        _load_timm(network, recipe)


def _load_timm(network: Network, recipe: Recipe) -> None:
    import segmentation_models_pytorch as smp

    # segmentation_models_pytorch builds the encoder with ImageNet weights, and its tensors are copied into
    # the encoder of our network, which has the same names. timm downloads them once and keeps them.
    config = recipe.network.arguments
    own: Any = network.network.get_submodule("encoder")
    name = config.get("encoder", f"tu-{own.name}")
    try:
        encoder = smp.encoders.get_encoder(name, depth=config.get("encoder_depth", 5), weights="imagenet")
    except Exception as error:  # the download fails in a dozen ways, none of them ours
        raise KitError(
            f"ImageNet weights of the encoder could not be fetched: {error}",
            where=name,
            fix="run once with a connection; timm then keeps them in its cache",
        ) from error
    own.load_state_dict(encoder.state_dict())
