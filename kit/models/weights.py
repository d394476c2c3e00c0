"""Weights as safetensors: nothing that runs on Kaggle unpickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from kit.artefacts import write_bytes
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
    """Write a network's parameters and buffers under the library's own names, atomically.

    Args:
        module: from `kit.models.build`.
        path: of the safetensors file.
        metadata: short texts for the file's header.
        half: store floating point as fp16 (half the size; loading gives float32 again). A tensor with a value
            too large for fp16, such as a running variance, stays as it is.

    Raises:
        KitError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {}
    for name, tensor in module.network.state_dict().items():
        value = tensor.detach().cpu().contiguous().clone()  # tied weights and views are refused by the format
        if half and value.is_floating_point() and fits_half(value):
            value = value.half()
        tensors[name] = value
    write_bytes(path, save(tensors, metadata=dict(metadata or {})))


def fits_half(tensor: Tensor) -> bool:
    """Whether no finite value of a tensor becomes infinite as fp16."""
    return bool((tensor.half().isfinite() == tensor.isfinite()).all())


def load_weights(module: Network, path: Path) -> None:
    """Fill a network from a safetensors file; every name and shape has to match.

    Args:
        module: from `kit.models.build`; changed in place.
        path: of the file.

    Raises:
        KitError: the file is missing, damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise KitError(
            "weights are missing", where=path, fix="train the network, or attach the weights dataset"
        )
    try:
        tensors = load_file(os.fspath(path))
    except (SafetensorError, OSError) as error:
        raise KitError(
            f"not a readable safetensors file: {error}",
            where=path,
            fix="it is truncated or damaged: copy or upload it again",
        ) from error
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
            f"weights do not belong to this {module.spec.name}: {'; '.join(parts)}",
            where=path,
            fix="build the network with the config that is stored beside these weights",
        )
    module.network.load_state_dict(tensors, strict=True)
