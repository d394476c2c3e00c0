"""The operators mmcv 1.7.2 calls in its compiled module: mmcv's own, compiled, where they prove right.

Part of the Kaggle offline kit. The wheel puts this file where the compiled module would be. A compiled
operator is taken if it can be imported and gave the portable one's numbers on this kind of device
(`_native_check`); in every other case, and for half precision, the portable one is.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._native_check import proven

# By name: beside this file only in the wheel, where it is the portable build's `_ext`.
_portable_ext: Any = importlib.import_module("mmcv._portable_ext")

__all__ = list(_portable_ext.__all__)


@functools.cache
def _compiled() -> Any:
    """The compiled module, None where it cannot be imported."""
    try:
        return importlib.import_module("mmcv._native")
    except ImportError as error:
        warnings.warn(f"mmcv runs on its portable operators: {error}", stacklevel=2)
        return None


@functools.cache
def _operators(device: str) -> dict[str, Callable[..., Any]]:
    """The compiled operators to be used on a kind of device, "cpu" or "cuda"."""
    compiled = _compiled()
    return {} if compiled is None else proven(compiled, _portable_ext, torch.device(device))


@functools.cache
def _chosen(name: str) -> Callable[..., Any]:
    portable: Callable[..., Any] = getattr(_portable_ext, name)

    def operator(first: Tensor, *others: Any, **options: Any) -> Any:
        full = first.dtype in (torch.float32, torch.float64)
        compiled = _operators(first.device.type).get(name) if full else None
        return (compiled or portable)(first, *others, **options)

    operator.__name__ = name
    return operator


def get_compiler_version() -> str:
    """What `mmcv.ops.get_compiler_version` tells."""
    return str((_compiled() or _portable_ext).get_compiler_version())


def get_compiling_cuda_version() -> str:
    """What `mmcv.ops.get_compiling_cuda_version` tells."""
    return str((_compiled() or _portable_ext).get_compiling_cuda_version())


def __getattr__(name: str) -> Any:
    """The choice between the two ways of an operator; what neither has, the portable build refuses."""
    return _chosen(name) if name in __all__ else getattr(_portable_ext, name)
