"""Check that a file is a complete safetensors file, from its header and its size, without torch.

A loader trusts the header's offsets. So this module checks that there are no gaps and overlaps, that nothing
lies behind the end, and that each size follows from dtype and shape.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kit.errors import KitError

# bytes 0 to 7   N, the length of the header, little-endian
# N bytes        JSON: {"x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "y": ...}
# the tensors    x in bytes 0 to 23 (2 x 3 numbers of 32 bits), y from byte 24 on
_LENGTH_BYTES = 8
_LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
_DTYPES = {
    8: ("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"),
    16: ("U16", "I16", "F16", "BF16"),
    32: ("U32", "I32", "F32"),
    64: ("U64", "I64", "F64", "C64"),
}
_BITS = {dtype: bits for bits, dtypes in _DTYPES.items() for dtype in dtypes}


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file.

    Attributes:
        name: in the network's state dict.
        dtype: as the format writes it, "F32".
        shape: of the tensor.
        start: its first byte in the file.
        size: bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file.

    Attributes:
        metadata: free texts.
        tensors: in the order of their bytes.
    """

    metadata: dict[str, str]
    tensors: tuple[StoredTensor, ...]


def check(path: Path) -> dict[str, str]:
    """Check a safetensors file's structure.

    Returns:
        The free-text metadata of its header.

    Raises:
        KitError: the file is not complete; the message names the tensor.
    """
    return read(path).metadata


def read(path: Path) -> Header:
    """Check a safetensors file's structure and return its header.

    Raises:
        KitError: the file is not complete; the message names the tensor.
    """
    try:
        with path.open("rb") as stream:
            return read_stream(stream, path.stat().st_size, path)
    except OSError as error:
        raise KitError(
            f"the weights cannot be read: {error.strerror}",
            where=path,
            fix="check the disk and the file's permissions",
        ) from error


def read_stream(stream: IO[bytes], size: int, where: Path) -> Header:
    """Check the structure of a safetensors file that is open, perhaps inside an archive.

    Args:
        stream: at the first byte of the file.
        size: of the file in bytes.
        where: the file, for messages.

    Raises:
        KitError: the file is not complete; the message names the tensor.
    """
    header, first = _json(stream, size, where)
    metadata = header.pop("__metadata__", {})
    if not header:
        raise _broken("it holds no tensors", where)
    # In the order of their first byte the tensors have to lie end to end: 0-24, 24-28, 28-40.
    spans = sorted((*_span(name, entry, where), name) for name, entry in header.items())
    position = 0
    for start, end, name in spans:
        if start != position:
            raise _broken(f"tensor {name} starts at {start}, expected {position}", where)
        position = end
    if position != size - first:
        raise _broken(f"its tensors fill {position} bytes, the file holds {size - first}", where)
    if not isinstance(metadata, dict):
        raise _broken("its metadata are no table", where)
    tensors = tuple(
        StoredTensor(name, header[name]["dtype"], tuple(header[name]["shape"]), first + start, end - start)
        for start, end, name in spans
    )
    return Header({str(key): str(value) for key, value in metadata.items()}, tensors)


def _json(stream: IO[bytes], size: int, path: Path) -> tuple[dict[str, Any], int]:
    """Return the header's JSON and the place of the first byte after it."""
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    # In a file of another kind the first 8 bytes are a huge number: do not read that many.
    if length > _LARGEST_HEADER:
        raise _broken(f"its header claims {length} bytes", path)
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError) as error:
        raise _broken("its header is no JSON", path) from error
    if _LENGTH_BYTES + length > size or not isinstance(header, dict):
        raise _broken("it ends inside its header", path)
    return header, _LENGTH_BYTES + length


def _span(name: str, entry: Any, path: Path) -> tuple[int, int]:
    """Return a tensor's first byte and the one after its last; check them against dtype and shape."""
    try:
        start, end = entry["data_offsets"]
        # In bits, because a number may have fewer than 8 of them in a future type.
        bits = math.prod(entry["shape"]) * _BITS[entry["dtype"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(f"tensor {name} is described by {entry!r}", path) from error
    if (end - start) * 8 != bits:
        shape = "x".join(map(str, entry["shape"]))
        raise _broken(f"tensor {name} ({entry['dtype']} {shape}) has {end - start} bytes", path)
    return start, end


def _broken(what: str, path: Path) -> KitError:
    return KitError(
        f"this is not a complete safetensors file: {what}",
        where=path,
        fix="run `train` or `ensemble` again to write the weights",
    )
