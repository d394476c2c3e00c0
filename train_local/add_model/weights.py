"""The weights of a model of one's own: which file is of which fold, and how it becomes a run's file."""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kit.artefacts import atomic_file, sha256_file, write_bytes
from kit.errors import KitError
from kit.models.own_file import TENSOR
from train_local.data.prepared import Prepared

_SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class Given:
    """One file of weights.

    Attributes:
        path: of the file.
        fold: whose validation images it never saw; None: it was trained on all images.
    """

    path: Path
    fold: int | None


def parse(text: str) -> Given:
    """Read FILE or FILE@FOLD.

    >>> parse("out/best.safetensors@2")
    Given(path=PosixPath('out/best.safetensors'), fold=2)

    Raises:
        KitError: what follows the @ is no fold.
    """
    file, at, fold = text.rpartition("@")
    if not at:
        return Given(Path(text), None)
    if not fold.isdigit():
        if Path(text).exists():  # the name itself has an @
            return Given(Path(text), None)
        raise KitError(f"{fold!r} is no fold", fix="write FILE@FOLD with the fold's number, from 0")
    return Given(Path(file), int(fold))


def check_given(weights: Sequence[Given], prepared: Prepared) -> None:
    """Check which files there are for which folds.

    Raises:
        KitError: a file is missing, a fold does not exist or is named twice, or only some files have folds.
    """
    for item in weights:
        if not item.path.is_file():
            raise KitError("the weights are missing", where=item.path, fix="correct --weights FILE@FOLD")
        if item.fold is not None:
            prepared.fold(item.fold)
    folds = [item.fold for item in weights]
    if None in folds and any(fold is not None for fold in folds):
        raise KitError(
            "some of the weights are of a fold, others of none",
            where="--weights",
            fix="add those that were trained on all images under another --name",
        )
    if twice := sorted({fold for fold in folds if fold is not None and folds.count(fold) > 1}):
        raise KitError(
            f"two files are of fold {twice[0]}",
            where="--weights",
            fix="add the second one under another --name",
        )


def alike(weights: Sequence[Given]) -> list[tuple[Given, Given]]:
    """Return files of two folds with the same bytes: at least one of their scores may not be honest."""
    seen: dict[str, Given] = {}
    found = []
    for item in weights:
        other = seen.setdefault(sha256_file(item.path), item)
        if other is not item:
            found.append((other, item))
    return found


def place_weights(given: Path, target: Path, *, own_loader: bool) -> tuple[str | None, int]:
    """Write the weights of a run.

    Args:
        given: the user's file.
        target: `weights.safetensors` of the run.
        own_loader: the class has a method `load`, so the file is of a format of its own.

    Returns:
        Name and size of a file that the class loads itself; (None, 0) of a state dict.

    Raises:
        KitError: the file is no state dict, or cannot be read without unpickling objects.
    """
    if own_loader:
        from safetensors.torch import save

        data = given.read_bytes()
        tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        write_bytes(target, save({TENSOR: tensor}))
        return given.name, len(data)
    if given.suffix.lower() == _SAFETENSORS:
        # No hard link: a training that runs again writes into the user's file.
        with atomic_file(target) as temporary:
            shutil.copyfile(given, temporary)
        return None, 0
    from safetensors.torch import save

    tensors = _state_dict(given)
    write_bytes(target, save({name: value.contiguous().clone() for name, value in tensors.items()}))
    return None, 0


def _state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict that torch.save wrote.

    Raises:
        KitError: it holds other things than tensors by name.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles in another form, which are refused anyway
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise KitError(
            "this is no state dict alone: it is a pickle of objects, which could run code on Kaggle",
            where=path,
            fix="save model.state_dict(), not the model: safetensors.torch.save_file(model.state_dict(), "
            "FILE); for what is no network give the class a method load(path) for a format without pickles",
        ) from error
    except Exception as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise KitError(
            f"this is neither safetensors nor a state dict of torch: {said}",
            where=path,
            fix="save it with safetensors.torch.save_file(model.state_dict(), FILE), or give the class a "
            "method load(path) for a format of its own",
        ) from error
    if not _of_tensors(value):
        keys = ", ".join(map(str, list(value)[:6])) if isinstance(value, dict) else type(value).__name__
        within = [key for key in value if _of_tensors(value[key])] if isinstance(value, dict) else []
        key = within[0] if within else ""
        part = f": torch.save(torch.load({str(path)!r}, weights_only=True)[{key!r}], FILE)"
        raise KitError(
            f"this file does not hold tensors by name, but {keys or 'nothing'}",
            where=path,
            fix=f"save model.state_dict() alone{part if len(within) == 1 else ''}",
        )
    tensors: dict[str, Tensor] = value
    return tensors


def _of_tensors(value: object) -> bool:
    return (
        isinstance(value, dict) and bool(value) and all(isinstance(item, Tensor) for item in value.values())
    )


def check_names(path: Path, names: Sequence[str], expected: Sequence[str]) -> None:
    """Say it plainly where all names of a file begin with the same word that the class does not have.

    Raises:
        KitError: so it is.
    """
    known = set(expected)
    prefixes = {name.partition(".")[0] for name in names}
    if len(prefixes) == 1 and not known.intersection(names):
        [prefix] = prefixes
        if known.intersection(name.removeprefix(f"{prefix}.") for name in names):
            raise KitError(
                f"all names in these weights begin with {prefix!r}, and those of the class do not",
                where=path,
                fix=f"save the state dict of the inner module: model.{prefix}.state_dict()",
            )
