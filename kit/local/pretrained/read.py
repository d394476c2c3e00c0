"""Read the tensors of a downloaded checkpoint of any known format; run no code from it."""

from __future__ import annotations

import argparse
import collections
import importlib
import pickle
import pickletools
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit.errors import KitError

_TORCH_LEGACY = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
"""The first bytes of a file of `torch.save` before torch 1.6: a pickle of this number, protocol 2."""
_MEMBERS = (".pth", ".pth.tar", ".pt", ".bin", ".ckpt")
_WRAPPERS = ("state_dict", "model", "module", "net")
_MEAN_WRAPPERS = ("state_dict_ema", "model_ema")
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_AGAIN = "the file is truncated or damaged: fetch or copy it again"


def read_tensors(path: Path, *, mean: bool = False) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint by name, without wrappers and without the prefix "module.".

    The content decides the format, not the file's name: torch (".pth", ".pth.tar", also from before 1.6), a
    zip archive with one such file (".pth.zip"), ".npz" or safetensors. torch's restricted unpickler reads
    pickles. Besides tensors and plain values it makes only `argparse.Namespace`, `defaultdict` and numpy
    values, which training scripts store.

    Args:
        path: of the file.
        mean: take the running mean of the weights if the file has one. The result never has both.

    Returns:
        Name -> tensor on the CPU.

    Raises:
        KitError: the file is missing, damaged, of no known format, asks for code, or has no tensors.
    """
    if not path.is_file():
        raise KitError(
            "the checkpoint is missing", where=path, fix="download it with `python -m kit.models fetch NAME`"
        )
    try:
        value = _open(path)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except (
        OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError,
        struct.error, zlib.error, zipfile.BadZipFile, NotImplementedError,
    ) as error:  # fmt: skip
        detail = (str(error).splitlines() or [type(error).__name__])[0]
        raise KitError(f"this is not a readable checkpoint: {detail}", where=path, fix=_AGAIN) from error
    tensors = {name: item for name, item in _unwrap(value, mean=mean).items() if isinstance(item, Tensor)}
    if not tensors:
        raise KitError(
            "the file has no named tensors",
            where=path,
            fix="give the checkpoint itself, not its log or config",
        )
    return _without_copies(_without_module(tensors), mean=mean)


def _open(path: Path) -> Any:
    # 50 4b 03 04           zip: torch since 1.6, .npz, .pth.zip
    # 8 bytes, then "{"     safetensors: the length of a JSON header, then the header
    # 80 02 8a 0a ...       torch before 1.6
    # 80                    any other pickle; never opened
    with path.open("rb") as stream:
        head = stream.read(16)
    if head[:4] == b"PK\x03\x04":
        return _open_zip(path)
    if head[8:9] == b"{":
        return _open_safetensors(path)
    if head.startswith(_TORCH_LEGACY):
        return _load(path)
    if head[:1] == b"\x80":
        named = ", ".join(sorted(set(_globals(path)))) or "nothing"
        raise KitError(
            f"the file is a plain pickle and not from torch.save; it was not opened (it asks for {named})",
            where=path,
            fix="a pickle can run any code: get the weights as safetensors or as a file of torch.save",
        )
    what = "a web page" if head.lstrip()[:1] == b"<" else "not a checkpoint of a known format"
    raise KitError(
        f"the file is {what}; it begins with {head[:8]!r}",
        where=path,
        fix="fetch it again; the known formats are .pth, .pth.zip, .pth.tar, .npz and .safetensors",
    )


def _open_zip(path: Path) -> Any:
    """Open a zip archive: torch's own format, numpy's, or a packed checkpoint."""
    with zipfile.ZipFile(path) as archive:
        files = [name for name in archive.namelist() if not name.endswith("/")]
        if any(name.endswith("data.pkl") and name.count("/") <= 1 for name in files):
            damaged = archive.testzip()  # torch does not compare checksums
            if damaged is not None:
                raise KitError(f"the checksum of {damaged} in the file is wrong", where=path, fix=_AGAIN)
            return _load(path)
        if files and all(name.endswith(".npy") for name in files):
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in arrays.files}
        inside = [name for name in files if name.endswith(_MEMBERS) and not name.startswith("__MACOSX/")]
        if len(inside) != 1:
            raise KitError(
                f"the file is a zip archive with {len(inside)} checkpoints, not with one",
                where=path,
                fix="unpack it and give one of its checkpoints",
            )
        with _unpacked(archive, inside[0], path.parent) as member:
            return _open(member)


@contextmanager
def _unpacked(archive: zipfile.ZipFile, name: str, beside: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=beside, prefix=".unpacked-") as folder:
        target = Path(folder) / "checkpoint"
        with archive.open(name) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        yield target


def _open_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise KitError(f"this is not a readable safetensors file: {error}", where=path, fix=_AGAIN) from error


def _load(path: Path) -> Any:
    harmless: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        argparse.Namespace,
        collections.defaultdict,
        np.dtype,
        np.ndarray,
        *(type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdSU"),
    ]
    # numpy 2 moved the functions that make scalars and arrays from numpy.core to numpy._core. Old files still
    # ask for "numpy.core.multiarray.scalar", so both names are allowed.
    multiarray = importlib.import_module("numpy._core.multiarray")
    for made in (multiarray.scalar, multiarray._reconstruct):  # noqa: SLF001 it is what numpy's pickles name
        harmless += [made, (made, f"numpy.core.multiarray.{made.__name__}")]
    with torch.serialization.safe_globals(harmless):
        return torch.load(path, map_location="cpu", weights_only=True)


def _refusal(path: Path, message: str) -> KitError:
    found = _GLOBAL.search(message)
    if found is None:
        return KitError(
            f"torch cannot read this checkpoint: {message.splitlines()[0]}", where=path, fix=_AGAIN
        )
    return KitError(
        f"the checkpoint asks for {found[1]} when it is opened; no code was run",
        where=path,
        fix="get the weights as safetensors, or as a state dict of tensors and plain values only",
    )


def _globals(path: Path) -> Iterator[str]:
    """Yield the names that a pickle would import; only its instructions are read."""
    # GLOBAL "posix system" -> "posix.system". In protocol 4 the two names are pushed as texts before
    # STACK_GLOBAL: "posix", "system", STACK_GLOBAL -> "posix.system".
    texts: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(path.read_bytes()):
            if code.name == "GLOBAL":
                yield str(argument).replace(" ", ".")
            elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                yield ".".join(texts[-2:])
            elif isinstance(argument, str):
                texts.append(argument)
    except ValueError:  # there are raw bytes behind the pickle, or it ends early
        return


def _unwrap(value: Any, *, mean: bool) -> Mapping[str, Any]:
    """Return the innermost mapping: {"epoch": 3, "state_dict": {"a": tensor}} gives {"a": tensor}."""
    keys = (*_MEAN_WRAPPERS, *_WRAPPERS) if mean else _WRAPPERS
    while isinstance(value, Mapping):
        inner = next((value[key] for key in keys if isinstance(value.get(key), Mapping)), None)
        if inner is None:
            return value
        value = inner
    return {}


def _without_module(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the "module." that each DistributedDataParallel put in front of every name."""
    while all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _without_copies(tensors: dict[str, Tensor], *, mean: bool) -> dict[str, Tensor]:
    """Remove the running means of mmcv's hook, or take them: the mean of "a.b" is stored as "ema_a_b"."""
    plain = {name: value for name, value in tensors.items() if not name.startswith("ema_")}
    if not mean or not plain:
        return plain or tensors
    return {name: tensors.get(f"ema_{name.replace('.', '_')}", value) for name, value in plain.items()}
