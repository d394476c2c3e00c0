"""Reading weights from files that anyone may have written: tensors come out, no code runs."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

_CONTAINERS = ("state_dict", "model_state_dict", "model", "module")
_WRAPPED = re.compile(r"^(?:module\.|_orig_mod\.)+")
"""What data-parallel training and torch.compile put in front of every name."""


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a checkpoint's tensors onto the CPU.

    `.npz` and `.safetensors` are known by their ending, anything else is taken for a file of `torch.save`.

    Args:
        path: Of the file.

    Returns:
        Tensors by name, taken out of a `state_dict`, `model_state_dict`, `model` or `module` entry and of a
        `module.` or `_orig_mod.` prefix.

    Raises:
        ValueError: If the file is missing, damaged, holds more than tensors and plain values, or no tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"no checkpoint at {file}: give the path of a downloaded file")
    if file.suffix == ".npz":
        return state_dict_of(_read_npz(file), str(file))
    if file.suffix == ".safetensors":
        return state_dict_of(_read_safetensors(file), str(file))
    return state_dict_of(_read_torch(file), str(file))


def state_dict_of(content: Any, where: str = "the given mapping") -> dict[str, Tensor]:
    """Find the tensors in what a checkpoint file holds.

    Args:
        content: A mapping of names to tensors, or one that has it under `state_dict`, `model_state_dict`,
            `model` or `module`.
        where: Named in errors.

    Returns:
        Tensors by name, without a common `module.` or `_orig_mod.` prefix (left by data-parallel training and
        torch.compile).

    Raises:
        ValueError: If there are none, or one has values that are not finite numbers.
    """
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping):
        raise ValueError(  # noqa: TRY004  # a file's content is a value, whatever its type
            f"{where} holds a {type(content).__name__}, not a mapping of names to tensors"
        )
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{where} holds no tensors; its entries are {sorted(map(str, content))[:8]}")
    if all(map(_WRAPPED.match, tensors)):
        tensors = {_WRAPPED.sub("", name): value for name, value in tensors.items()}
    bad = [
        name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()
    ]
    if bad:
        raise ValueError(f"{where}: {len(bad)} tensors have values that are no finite numbers: {bad[:3]}")
    return tensors


def _read_torch(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        culprit = re.search(r"GLOBAL ([\w.]+)", str(error))
        found = f" ({culprit[1]})" if culprit else ""
        raise ValueError(
            f"{file} is damaged or holds Python objects besides tensors, numbers, text{found}, which could "
            "run code when read: no code was run. Get the weights as safetensors, or their state dict alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        raise ValueError(
            f"{file} is damaged or not a file of torch.save: download it again ({error})"
        ) from error


def _read_npz(file: Path) -> dict[str, Tensor]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (ValueError, TypeError, OSError, EOFError, BadZipFile, MemoryError) as error:
        raise ValueError(f"{file} is damaged or holds more than arrays of numbers ({error})") from error


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ValueError(f"{file} needs the package safetensors: pip install safetensors") from error
    try:
        return dict(load_file(file))
    except (SafetensorError, OSError, MemoryError) as error:
        raise ValueError(f"{file} is damaged: download it again ({error})") from error
