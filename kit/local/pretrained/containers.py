"""Open what checkpoints come in besides `torch.save`: numpy's .npz, safetensors, a zip archive around a file.

Each function returns `StoredTensor` by name. What is unpacked counts against an `Allowance`.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from kit.local.pretrained.stored import Allowance, BrokenCheckpointError, StoredTensor

_SAFETENSORS = {
    "F16": torch.float16, "F32": torch.float32, "F64": torch.float64, "BF16": torch.bfloat16,
    "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_BLOCK = 1 << 20


def open_npz(path: Path, allowance: Allowance) -> dict[str, StoredTensor]:
    """Open numpy's archive of arrays; arrays of objects are refused."""
    archive = zipfile.ZipFile(path)  # open as long as an array can be read from it
    return {
        info.filename.removesuffix(".npy"): _array(archive, info, allowance) for info in archive.infolist()
    }


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowance: Allowance) -> StoredTensor:
    header: Any = np.lib.format
    with archive.open(info) as stream:
        version = header.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise BrokenCheckpointError(f"{info.filename} has numpy's format {version}")
        read = header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
        shape, columns, dtype = read(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise BrokenCheckpointError("Object arrays cannot be loaded, since they can run code")
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "fiub" or size != info.file_size - start:
        raise BrokenCheckpointError(f"{info.filename} has {info.file_size - start} bytes for {dtype} {shape}")

    def load() -> Tensor:
        allowance.take(info.file_size, info.filename)
        array = np.frombuffer(archive.read(info)[start:], dtype) if size else np.empty(0, dtype)
        plain = array.reshape(shape, order="F" if columns else "C").astype(dtype.newbyteorder("="), order="C")
        return torch.from_numpy(plain.copy())

    kind = torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype
    return StoredTensor(tuple(shape), kind, load, info.filename)


def open_safetensors(path: Path, allowance: Allowance) -> dict[str, StoredTensor]:
    """Open a safetensors file; the library checks that the tensors fill the file without gaps."""
    from safetensors import safe_open

    opened: Any = safe_open(path, "pt")
    file = opened.__enter__()  # it stays open as long as a tensor can be read from it
    found = {}
    for name in file.keys():  # noqa: SIM118  it is no dictionary
        part = file.get_slice(name)
        shape, kind = tuple(part.get_shape()), _SAFETENSORS.get(part.get_dtype())
        if kind is None:
            raise BrokenCheckpointError(f"tensor {name} has the type {part.get_dtype()}")

        def load(name: str = name, size: int = math.prod(shape) * kind.itemsize) -> Tensor:
            allowance.take(size, name)
            tensor: Tensor = file.get_tensor(name)
            return tensor

        found[name] = StoredTensor(shape, kind, load, name)
    return found


@contextmanager
def unpacked(archive: zipfile.ZipFile, name: str, beside: Path, allowance: Allowance) -> Iterator[Path]:
    """Unpack one member into a temporary file beside the archive, within the allowance and the free space."""
    info = archive.getinfo(name)
    allowance.take(info.file_size, name)
    free = shutil.disk_usage(beside).free
    if info.file_size > free:
        raise OSError(f"{name} has {info.file_size >> 20} MiB unpacked, but {free >> 20} MiB are free")
    with tempfile.TemporaryDirectory(dir=beside, prefix=".unpacked-") as folder:
        target = Path(folder) / "checkpoint"
        with archive.open(info) as source, target.open("wb") as copy:
            _copy(source, copy, info.file_size)
        yield target


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while block := source.read(_BLOCK):
        size -= len(block)
        if size < 0:
            raise BrokenCheckpointError("a packed file is larger than its archive says")
        target.write(block)
