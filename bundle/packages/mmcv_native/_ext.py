"""The operators mmcv 1.7.2 calls in its compiled module: mmcv's own, compiled, where they prove right.

Part of the Kaggle offline kit. The wheel puts this file where the compiled module would be. It holds compiled
operators for one torch or several. One is taken if it can be imported and gave the portable one's numbers on
this kind of device (`_native_check`); in every other case, and for half precision, the portable one is.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ._native_check import proven

# By name: beside this file only in the wheel, where it is the portable build's `_ext`.
_portable_ext: Any = importlib.import_module("mmcv._portable_ext")

__all__ = list(_portable_ext.__all__)

TOLD: list[str] = []
"""Why portable operators run in place of compiled ones; predict.py takes it over into its report."""

_PREFIX = "_native_torch"


def _tell(text: str) -> None:
    TOLD.append(text)
    warnings.warn(text, stacklevel=2)


@functools.cache
def _compiled() -> Any:
    """The compiled module for this torch, None where there is none or it cannot be imported."""
    # torch 2.11.0+cu128 takes _native_torch2_11_cu12_8, and in its absence the operators of the CPU.
    version = "_".join(torch.__version__.split(".")[:2])
    cuda = torch.version.cuda
    devices = [*([f"cu{cuda.replace('.', '_')}"] if cuda else []), "cpu"]
    faults = []
    found = None
    for device in devices:
        try:
            found = importlib.import_module(f"mmcv.{_PREFIX}{version}_{device}")
            break
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            faults.append(str(error))
    if faults:
        _tell(f"mmcv runs on its portable operators: {'; '.join(faults)}")
    elif found is None:
        modules = pkgutil.iter_modules(importlib.import_module("mmcv").__path__)
        there = sorted(item.name.removeprefix(_PREFIX) for item in modules if item.name.startswith(_PREFIX))
        listed, this = ", ".join(there), f"{version}_{devices[0]}"
        _tell(
            f"mmcv runs on its portable operators: compiled ones are for torch {listed}, and this is {this}"
        )
    return found


@functools.cache
def _operators(device: str) -> dict[str, Callable[..., Any]]:
    """The compiled operators to be used on a kind of device, "cpu" or "cuda"."""
    compiled = _compiled()
    if compiled is None:
        return {}
    found = proven(compiled, _portable_ext, torch.device(device), tell=_tell)
    if not found:
        _tell(f"mmcv runs on its portable operators on {device}: no compiled one works there")
    return found


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
