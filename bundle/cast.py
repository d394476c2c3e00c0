"""Write a member's weights in another number format, tensor by tensor, so that memory stays small.

A network computes in float32 whatever its file holds, so a cast file takes less room and less time to upload
and to read; what the rounding costs is measured (`bundle.score_change`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from bundle.weights import Dtype
from kit.artefacts import atomic_stream, open_to_read, read_json, sha256_file, write_json
from kit.errors import KitError
from kit.local import safetensors_header
from kit.local.locks import only_one
from kit.local.safetensors_header import StoredTensor

_CODES: dict[str, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_STATISTICS = ("running_mean", "running_var")
"""Of batch norm: a variance may be too large for float16, and all of them together are a few kilobytes."""
_BLOCK = 1 << 22
_LONGEST_WAIT_S = 3600.0


def cast(source: Path, sha256: str, dtype: Dtype, cache: Path) -> Path:
    """Return a file with the floating point tensors of a safetensors file in another format.

    Integers, counters and the statistics of batch norm stay as they are. The result is kept in `cache` under
    the source's hash and the format; equal sources give equal bytes.

    Args:
        source: the file; its structure is checked.
        sha256: of it.
        dtype: the format.
        cache: folder of cast files.

    Returns:
        The cast file, or `source` if nothing in it has another format.

    Raises:
        KitError: a value is too large for the format or is no finite number (the message names the tensor),
            the file is damaged, or the disk is full.
    """
    header = safetensors_header.read(source)
    if not any(_changes(item, dtype) for item in header.tensors):
        return source
    target = cache / f"{sha256}.{dtype}.safetensors"
    record = target.with_suffix(".json")
    with only_one(target.with_suffix(".lock"), doing="casts these weights", wait=_LONGEST_WAIT_S):
        if not _is_whole(target, record):
            with atomic_stream(target) as out:
                write_tensors(source, header.metadata, header.tensors, out, dtype)
            write_json(record, {"sha256": sha256_file(target), "size": target.stat().st_size})
    return target


def _is_whole(target: Path, record: Path) -> bool:
    try:
        known = read_json(record)
        return bool(known["size"] == target.stat().st_size and known["sha256"] == sha256_file(target))
    except (KitError, OSError, KeyError, TypeError):
        return False


def _changes(item: StoredTensor, dtype: Dtype | None) -> bool:
    statistic = item.name.rpartition(".")[2] in _STATISTICS
    return dtype is not None and item.dtype in _FLOATS and not statistic and item.dtype != _CODES[dtype]


def write_tensors(
    source: Path,
    metadata: Mapping[str, str],
    tensors: Sequence[StoredTensor],
    out: IO[bytes],
    dtype: Dtype | None = None,
) -> None:
    """Write a safetensors file with some tensors of another one; equal arguments give equal bytes.

    Args:
        source: the other file.
        metadata: free texts for the header.
        tensors: of the other file's header.
        out: at its first byte.
        dtype: format that floating point gets; None keeps all bytes.

    Raises:
        KitError: a value does not fit the format, or the source ends early.
    """
    # Tensors of wide numbers first, as the safetensors library writes them: each then begins at a multiple of
    # its number's size, which loaders that map the file rely on.
    #     I64 counter 0-8 | F32 variance 8-264 | F16 weights from 264 on
    made = [(item, _CODES[dtype] if dtype and _changes(item, dtype) else item.dtype) for item in tensors]
    widths = {id(item): item.size // max(1, math.prod(item.shape)) for item in tensors}
    made.sort(key=lambda pair: (-_width(pair[1], widths[id(pair[0])]), pair[0].name))
    texts = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    entries: dict[str, object] = dict(texts)
    position = 0
    for item, code in made:
        end = position + math.prod(item.shape) * _width(code, widths[id(item)])
        entries[item.name] = {"dtype": code, "shape": list(item.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    out.write(len(text).to_bytes(8, "little") + text)
    with open_to_read(source) as stream:
        for item, code in made:
            stream.seek(item.start)
            for block in _blocks(stream, item, source):
                if dtype is None or code == item.dtype:
                    out.write(block)
                else:
                    out.write(_converted(block, item, dtype, source))


def _width(code: str, stored: int) -> int:
    """Bytes of one number."""
    return _FLOATS[code].itemsize if code in _FLOATS else stored


def _blocks(stream: IO[bytes], item: StoredTensor, source: Path) -> Iterator[bytes]:
    left = item.size
    while left:
        block = stream.read(min(left, _BLOCK))
        if not block:
            raise KitError(f"the file ends inside tensor {item.name}", where=source, fix="copy it again")
        left -= len(block)
        yield block


def _converted(block: bytes, item: StoredTensor, dtype: Dtype, source: Path) -> bytes:
    values = torch.frombuffer(bytearray(block), dtype=_FLOATS[item.dtype])
    made = values.to(getattr(torch, dtype))
    if not bool(made.isfinite().all()):
        raise _unfit(item, values, made, dtype, source)
    return made.view(torch.uint8).numpy().tobytes()


def _unfit(item: StoredTensor, values: Tensor, made: Tensor, dtype: Dtype, source: Path) -> KitError:
    first = float(values[~made.isfinite()][0])
    if not math.isfinite(first):
        return KitError(
            f"tensor {item.name} has a value that is no finite number ({first})",
            where=source,
            fix="that training run diverged: see its log, lower the learning rate and train again",
        )
    largest = torch.finfo(getattr(torch, dtype)).max
    return KitError(
        f"{dtype} cannot hold tensor {item.name}: it has the value {first:g}, and {largest:g} is the largest",
        where=source,
        fix="use --weights-dtype bfloat16, which has the range of float32, or leave the option out",
    )
