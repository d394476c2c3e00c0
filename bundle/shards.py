"""Divide a large safetensors file into several, each a safetensors file with some of its tensors.

An upload that breaks off in a shard repeats little, and several are sent at once. predict.py loads them one
after the other into the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kit.artefacts import atomic_stream, read_json, sha256_file, write_json
from kit.errors import KitError
from kit.local import safetensors_header
from kit.local.locks import only_one
from kit.local.safetensors_header import StoredTensor

_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
_TEXT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(kB|MB|GB)")
_LONGEST_WAIT_S = 3600.0
_LINE_BYTES = 200
"""Of a tensor in the header, at most, without its name; the header itself has as much around it."""


def bytes_of(text: str) -> int:
    """Return the bytes of a size like "2GB" or "500 MB" (powers of ten).

    Raises:
        KitError: it is no such size.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None or not (size := int(float(found[1]) * _UNITS[found[2]])):
        raise KitError(f"{text!r} is no size", fix="write a number and kB, MB or GB: 2GB")
    return size


def shards(source: Path, sha256: str, limit: int, cache: Path) -> list[Path]:
    """Return the shards of a file, none of them larger than the limit; the file itself if it is not larger.

    Args:
        source: a safetensors file; its structure is checked.
        sha256: of it.
        limit: bytes.
        cache: folder of shards; equal sources give equal bytes.

    Raises:
        KitError: one tensor alone is larger than the limit, the file is damaged, or the disk is full.
    """
    if source.stat().st_size <= limit:
        return [source]
    from bundle.cast import write_tensors  # loads torch, which --help does not need

    header = safetensors_header.read(source)
    around = _LINE_BYTES + sum(len(f"{key}{value}".encode()) + 8 for key, value in header.metadata.items())
    groups = _groups(header.tensors, limit, around, source)
    paths = [cache / f"{sha256}.{limit}.part{number:02d}.safetensors" for number in range(1, len(groups) + 1)]
    record = cache / f"{sha256}.{limit}.parts.json"
    with only_one(record.with_suffix(".lock"), doing="divides these weights", wait=_LONGEST_WAIT_S):
        if not _are_whole(paths, record):
            for path, tensors in zip(paths, groups, strict=True):
                with atomic_stream(path) as out:
                    write_tensors(source, header.metadata, tensors, out)
            write_json(record, {path.name: sha256_file(path) for path in paths})
    return paths


def _groups(
    tensors: Sequence[StoredTensor], limit: int, around: int, source: Path
) -> list[list[StoredTensor]]:
    """Divide tensors in their order: with a limit of 10 sizes 4, 5, 3, 9 give (4, 5), (3), (9).

    Args:
        tensors: of the file.
        limit: bytes of a shard.
        around: bytes that its header takes besides the tensors' lines.
        source: the file, for messages.
    """
    groups: list[list[StoredTensor]] = []
    size = limit
    for item in tensors:
        needed = item.size + _LINE_BYTES + len(item.name.encode())
        if needed + around > limit:
            raise KitError(
                f"tensor {item.name} alone has {item.size} bytes, more than fit into a shard of {limit}",
                where=source,
                fix="give a larger --shard-size",
            )
        if size + needed > limit:
            groups.append([])
            size = around
        groups[-1].append(item)
        size += needed
    return groups


def _are_whole(paths: Sequence[Path], record: Path) -> bool:
    try:
        known = read_json(record)
        return isinstance(known, dict) and known == {path.name: sha256_file(path) for path in paths}
    except (KitError, OSError):
        return False
