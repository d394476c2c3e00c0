"""Open the files of `torch.save`: the zip archive since torch 1.6, and the five pickles in a row before."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from kit.local.pretrained.pickle_machine import Machine, Name
from kit.local.pretrained.pickled_names import MAKERS, foreign, known
from kit.local.pretrained.stored import DTYPES, Allowance, BrokenCheckpointError, Storage

Read = Callable[[Storage], Tensor]

_PICKLES_IN_FRONT = 3
"""In the older format: a magic number, the version, and sizes of the machine that saved."""
_LENGTH_BYTES = 8
_PARTS = 5
"""Of a storage's identifier: "storage", its type, its key, its device, how many numbers it has."""


def is_torch_zip(names: list[str]) -> bool:
    """Return whether a zip archive with these members was written by `torch.save`."""
    return any(name.endswith("data.pkl") and name.count("/") <= 1 for name in names)


def open_torch_zip(path: Path, allowance: Allowance) -> Any:
    """Return the values of a file of `torch.save` since torch 1.6.

    Raises:
        ValueError: as `kit.local.pretrained.stored` has them.
    """
    # archive/data.pkl     the values; a tensor names its storage, "0"
    # archive/data/0       the numbers of storage "0", not compressed
    # archive/byteorder    "little"
    archive = zipfile.ZipFile(path)  # open as long as a tensor can be read from it
    names = archive.namelist()
    pickle = min((name for name in names if name.endswith("data.pkl") and name.count("/") <= 1), key=len)
    root = pickle.removesuffix("data.pkl")
    if f"{root}constants.pkl" in names:
        raise BrokenCheckpointError("the file is a TorchScript program, not a checkpoint with weights")
    if f"{root}byteorder" in names and member(archive, f"{root}byteorder", allowance) != b"little":
        raise BrokenCheckpointError("the file comes from a machine with the other order of bytes")

    def read(storage: Storage) -> Tensor:
        data = member(archive, f"{root}data/{storage.key}", allowance)
        if len(data) < storage.numel * storage.dtype.itemsize:
            raise BrokenCheckpointError(f"{root}data/{storage.key} is shorter than its tensor")
        return _flat(data, storage)

    def storage_of(identifier: Any) -> Storage:
        storage = _storage(identifier, read=read_once)
        name = f"{root}data/{storage.key}"
        if name not in sizes or sizes[name] < storage.numel * storage.dtype.itemsize:
            raise BrokenCheckpointError(f"{name} is missing or shorter than its tensor")
        return storage

    read_once = _once(read)
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    data = member(archive, pickle, allowance)
    return Machine(MAKERS, known, foreign, storage_of, len(data)).run(BytesIO(data))


def member(archive: zipfile.ZipFile, name: str, allowance: Allowance) -> bytes:
    """Return a member of an archive; its header is believed about its size, and no more than that is read.

    Raises:
        BrokenCheckpointError: there is no such member.
        LimitError: it is too large.
    """
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise BrokenCheckpointError(f"{name} is not in the file") from error
    allowance.take(info.file_size, name)
    return archive.read(info)


def open_torch_legacy(path: Path, allowance: Allowance) -> Any:
    """Return the values of a file of `torch.save` before torch 1.6.

    Raises:
        ValueError: as `kit.local.pretrained.stored` has them.
    """
    return _Legacy(path, allowance).value


class _Legacy:
    """A file of the older format.

    Attributes:
        value: the values of the file.
    """

    # Five pickles in a row: magic number, version, machine, values, names of the storages. Then follow the
    # storages in the order of these names: 8 bytes with the number of values, then the values.

    def __init__(self, path: Path, allowance: Allowance) -> None:
        self._path, self._allowance = path, allowance
        self._size = path.stat().st_size
        self._found: dict[str, Storage] = {}
        self._places: dict[str, int] = {}
        self._read_once = _once(self._read)
        with path.open("rb") as stream:
            for _ in range(_PICKLES_IN_FRONT):
                self._run(stream)
            self.value = self._run(stream)
            self._find_places(stream, self._run(stream))

    def _run(self, stream: IO[bytes]) -> Any:
        return Machine(MAKERS, known, foreign, self._storage, self._size).run(stream)

    def _storage(self, identifier: Any) -> Storage:
        whole = _storage(identifier, read=self._read_once)
        self._found.setdefault(whole.key, whole)
        view = identifier[_PARTS] if len(identifier) > _PARTS else None
        if view is None:
            return whole
        # A storage may be a part of another one: (its key, the first number, how many numbers).
        _, first, numel = view
        if not (type(first) is type(numel) is int and 0 <= first <= first + numel <= whole.numel):
            raise BrokenCheckpointError("a part of a storage reaches beyond it")

        def read(part: Storage) -> Tensor:
            return self._read_once(whole)[part.first : part.first + part.numel]

        return replace(whole, numel=numel, first=first, read=read)

    def _find_places(self, stream: IO[bytes], keys: Any) -> None:
        if not isinstance(keys, list):
            raise BrokenCheckpointError("the names of its storages are missing")
        position = stream.tell()
        for key in keys:
            if key not in self._found:
                raise BrokenCheckpointError("it names a storage that no tensor has")
            storage = self._found[key]
            stream.seek(position)
            if int.from_bytes(stream.read(_LENGTH_BYTES), "little") != storage.numel:
                raise BrokenCheckpointError(f"storage {key} is cut off or has another size than its tensor")
            self._places[key] = position + _LENGTH_BYTES
            position += _LENGTH_BYTES + storage.numel * storage.dtype.itemsize
            if position > self._size:
                raise BrokenCheckpointError(f"storage {key} is cut off")

    def _read(self, storage: Storage) -> Tensor:
        if storage.key not in self._places:
            raise BrokenCheckpointError(f"storage {storage.key} is not in the file")
        whole = self._found[storage.key]
        amount = whole.numel * whole.dtype.itemsize
        self._allowance.take(amount, f"storage {storage.key}")
        with self._path.open("rb") as stream:
            stream.seek(self._places[storage.key])
            data = stream.read(amount)
        if len(data) < amount:
            raise BrokenCheckpointError(f"storage {storage.key} is cut off")
        return _flat(data, whole)


def _storage(identifier: Any, *, read: Read) -> Storage:
    """Return the storage of a persistent identifier: ("storage", its type, its key, device, numbers)."""
    if not isinstance(identifier, tuple) or len(identifier) < _PARTS or identifier[0] != "storage":
        raise BrokenCheckpointError("its pickle refers to something that is no storage of numbers")
    _, kind, key, _, numel = identifier[:_PARTS]
    name = kind.text.rpartition(".")[2] if isinstance(kind, Name) else ""
    dtype = torch.uint8 if name == "UntypedStorage" else DTYPES.get(name)
    if dtype is None or not isinstance(key, str) or type(numel) is not int or numel < 0:
        raise BrokenCheckpointError("a storage has a type or size that is not known")
    return Storage(key, dtype, numel, read)


def _once(read: Read) -> Read:
    """Read each storage once: several tensors may look at it."""
    seen: dict[tuple[str, torch.dtype, int], Tensor] = {}

    def cached(storage: Storage) -> Tensor:
        key = (storage.key, storage.dtype, storage.numel)
        if key not in seen:
            seen[key] = read(storage)
        return seen[key]

    return cached


def _flat(data: bytes, storage: Storage) -> Tensor:
    if not storage.numel:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(data), dtype=storage.dtype, count=storage.numel)
