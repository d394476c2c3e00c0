"""Weights as safetensors files, because a pickle could run code on Kaggle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from kit.artefacts import open_to_read, write_bytes
from kit.errors import KitError

if TYPE_CHECKING:
    from kit.models.network import Network

_SHOWN = 5


def save_weights(
    module: Network,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write a network's parameters and buffers by the library's own names, atomically.

    Args:
        module: from `kit.models.build`.
        path: of the safetensors file.
        metadata: short texts for the file's header.
        half: store floating point as float16; loading gives float32 again. A tensor with a value too large
            for float16, e.g. a running variance, is stored as it is.

    Raises:
        KitError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {}
    for name, tensor in module.network.state_dict().items():
        value = tensor.detach().cpu().contiguous().clone()  # the format refuses tied weights and views
        if half and value.is_floating_point() and fits_half(value):
            value = value.half()
        tensors[name] = value
    write_bytes(path, save(tensors, metadata=dict(metadata or {})))


def fits_half(tensor: Tensor) -> bool:
    """Return whether every finite value of a tensor stays finite in float16."""
    return bool((tensor.half().isfinite() == tensor.isfinite()).all())


def _tensors_of(path: Path) -> dict[str, Tensor]:
    """Map a file, or read it where that fails."""
    from safetensors.torch import load, load_file

    # Older releases map shared memory, which file systems in user space may refuse: a file whose hash was
    # right a moment ago would be called damaged. If it is, reading it fails as well.
    try:
        tensors: dict[str, Tensor] = load_file(os.fspath(path))
    except Exception:  # noqa: BLE001 - each release of the library and of torch raises its own classes
        with open_to_read(path) as stream:
            tensors = load(stream.read())
    return tensors


def load_weights(module: Network, path: Path) -> None:
    """Load a safetensors file into a network; every name and shape has to match.

    Args:
        module: from `kit.models.build`; changed in place.
        path: of the file, or a folder with its shards.

    Raises:
        KitError: the file is missing or damaged, or it belongs to another network.
    """
    from safetensors import SafetensorError

    if not path.exists():
        raise KitError(
            "the weights are missing", where=path, fix="train the network, or attach the weights dataset"
        )
    tensors: dict[str, Tensor] = {}
    try:
        for file in path.iterdir() if path.is_dir() else [path]:
            tensors |= _tensors_of(file)  # mapped: read when it is copied into the network
    except MemoryError as error:
        raise KitError(
            f"memory ran out while weights of {path.stat().st_size / 1e6:.0f} MB were read",
            where=path,
            fix="use fewer workers (--workers), or a machine with more memory",
        ) from error
    except (SafetensorError, OSError) as error:
        raise KitError(
            f"this is not a readable safetensors file: {error}",
            where=path,
            fix="the file is truncated or damaged: copy or upload it again",
        ) from error
    # torch's own message lists all wrong names, perhaps thousands; this one lists five per fault.
    expected = module.network.state_dict()
    missing = [name for name in expected if name not in tensors]
    unexpected = [name for name in tensors if name not in expected]
    reshaped = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if missing or unexpected or reshaped:
        parts = [
            f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
            for what, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("of another shape", reshaped),
            )
            if names
        ]
        raise KitError(
            f"the weights do not belong to this {module.spec.name}: {'; '.join(parts)}",
            where=path,
            fix="build the network with the config that is stored beside these weights",
        )
    module.network.load_state_dict(tensors, strict=True)
