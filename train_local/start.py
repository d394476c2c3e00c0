"""Where first weights come from: an earlier stage, ImageNet, a published checkpoint, or chance."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kit.artefacts import read_sidecar, sha256_file
from kit.console import console
from kit.errors import KitError
from kit.models import Network
from train_local.recipes.base import Recipe
from train_local.runs import WEIGHTS

LEAST_MATCH = 0.5
"""Share of a network's values that a checkpoint has to bring; with less it is another network's."""


@dataclass(frozen=True)
class Start:
    """First weights.

    Attributes:
        identity: sha256 of the file, "timm", or None for random weights.
        path: of the file, if it is one.
    """

    identity: str | None = None
    path: Path | None = None


def resolve(recipe: Recipe, fold: int, runs: Path, published: Path | None) -> Start:
    """Find the first weights of a run.

    Args:
        recipe: whose `before` and `start` say what is needed.
        fold: of the run; an earlier stage's same fold is taken, or its first where it has no such fold.
        runs: folder of all runs.
        published: folder of downloaded checkpoints, by the names recipes give them.

    Raises:
        KitError: the earlier stage is not trained yet, or the checkpoint is not in the folder.
    """
    if recipe.before is not None:
        earlier = recipe.before
        path = runs / earlier.name / f"fold{fold if fold in earlier.folds else earlier.folds[0]}" / WEIGHTS
        if not path.is_file():
            raise KitError(
                f"{recipe.name} starts from {earlier.name}, which is not trained yet",
                where=path,
                fix=f"run `train {earlier.name}` first, or `train-all`, which knows the order",
            )
        return Start(str(read_sidecar(path, kind="weights")["sha256"]), path)
    if recipe.start is not None and recipe.start != "timm":
        names = [f"{recipe.start}{suffix}" for suffix in (".safetensors", ".pth")]
        found = [published / name for name in names if published is not None and (published / name).is_file()]
        if not found:
            raise KitError(
                f"{recipe.name} starts from the published checkpoint {recipe.start}",
                where=published,
                fix=f"download it as {' or '.join(names)} into a folder and name that: --checkpoints DIR",
            )
        return Start(sha256_file(found[0]), found[0])
    return Start(recipe.start)


def apply(network: Network, recipe: Recipe, start: Start) -> None:
    """Fill a fresh network with its first weights.

    Raises:
        KitError: the weights cannot be had or are another network's.
    """
    if start.path is not None:
        _load_matching(network, start.path)
    elif start.identity == "timm":
        _load_timm(network, recipe)


def _load_timm(network: Network, recipe: Recipe) -> None:
    import segmentation_models_pytorch as smp

    config = recipe.network
    try:
        encoder = smp.encoders.get_encoder(
            config.get("encoder", "tu-regnety_016"), depth=config.get("encoder_depth", 5), weights="imagenet"
        )
    except Exception as error:  # the download fails in a dozen ways, none of them ours
        raise KitError(
            f"ImageNet weights of the encoder could not be fetched: {error}",
            where=str(config.get("encoder", "")),
            fix="run once with a connection; timm then keeps them in its cache",
        ) from error
    network.network.get_submodule("encoder").load_state_dict(encoder.state_dict())


def _read(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        value = torch.load(path, map_location="cpu", weights_only=True)
        return dict(value.get("state_dict", value))
    except (SafetensorError, OSError, RuntimeError, pickle.UnpicklingError, AttributeError) as error:
        raise KitError(
            f"not a readable checkpoint: {str(error).splitlines()[0]}",
            where=path,
            fix="give a safetensors file, or a .pth that holds tensors only",
        ) from error


def _load_matching(network: Network, path: Path) -> None:
    """Take every value of equal name and shape; heads of another number of classes stay random."""
    own, given = network.network.state_dict(), _read(path)
    taken = {
        name: value
        for name, value in given.items()
        if name in own and tuple(value.shape) == tuple(own[name].shape)
    }
    wanted = sum(value.numel() for value in own.values())
    matched = sum(value.numel() for value in taken.values())
    if matched < LEAST_MATCH * wanted:
        raise KitError(
            f"checkpoint fits {matched / wanted:.0%} of the network",
            where=path,
            fix="give the checkpoint of this architecture and size",
        )
    network.network.load_state_dict({**own, **taken})
    left = sorted(set(own) - set(taken))
    if left:
        console().print(
            f"{len(left)} entries stay random, the checkpoint has none of their shape: {', '.join(left[:4])}",
            markup=False,
        )
