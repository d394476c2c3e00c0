"""Spoils the weights of a member in a mounted bundle: the file stays whole, and its numbers stay numbers."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.artefacts import sha256_bytes, sha256_file, write_bytes
from kit.ensemble import Ensemble, Member
from kit.errors import KitError

Change = Literal["constant", "not a number", "identical"]
_FLOATS = {"F16": 2, "BF16": 2, "F32": 4}
_LARGEST = b"\x7f\x7f"
"""The largest bfloat16, 3.4e38: any sum of two of them is infinite."""
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Replaced:
    """A file of weights that was replaced.

    Attributes:
        member: whose weights it has.
        before: sha256 of the old file.
        after: sha256 of the new one.
        size: bytes of the new one.
    """

    member: str
    before: str
    after: str
    size: int


def spoil(root: Path, ensemble: Ensemble, change: str, draw: int, spoilt: Collection[str] = ()) -> Replaced:
    """Replace a member's weights below a mount.

    Args:
        root: stands for /kaggle/input.
        ensemble: knows the members.
        change: "constant": all numbers are 0; "not a number": all are the largest there are, so that sums
            overflow; "identical": another member's weights.
        draw: any number; decides which member.
        spoilt: names of members that were spoilt before, and stay as they are.

    Raises:
        KitError: no file below the mount holds the weights, no other member has the same network, or all
            members are spoilt.
    """
    left = [member for member in ensemble.members if member.name not in spoilt]
    if not left:
        raise KitError("no member is left to spoil", where="--faults", fix="name fewer faults of weights")
    member, other = left[draw % len(left)], None
    if change == "identical":
        pairs = _pairs(left)
        if not pairs:
            raise KitError(
                "no two members have the same network and other weights",
                where="--faults identical-output",
                fix="leave this fault out",
            )
        member, other = pairs[draw % len(pairs)]
    path = _find(root, member)
    content = _changed((_find(root, other) if other is not None else path).read_bytes(), change)
    path.unlink()  # a hard link to the bundle, which stays as it is
    write_bytes(path, content)
    return Replaced(member.name, member.sha256, sha256_bytes(content), len(content))


def _pairs(members: list[Member]) -> list[tuple[Member, Member]]:
    return [
        (one, two)
        for one in members
        for two in members
        if one.network == two.network and one.sha256 != two.sha256
    ]


def _find(root: Path, member: Member) -> Path:
    for path in sorted(root.rglob("*.safetensors")):
        if path.stat().st_size == member.size and sha256_file(path) == member.sha256:
            return path
    raise KitError(
        f"the weights of {member.name} are no file of their own below the mount",
        where=root,
        fix="leave this fault out: shards and archives cannot be spoilt",
    )


def _changed(content: bytes, change: str) -> bytes:
    """Return a safetensors file with other numbers; integers stay, and "identical" changes its hash alone."""
    # 8 bytes with the length of the header, the header (JSON: name -> dtype, shape, data_offsets), the data.
    (length,) = _LENGTH.unpack_from(content)
    header: dict[str, Any] = json.loads(content[_LENGTH.size : _LENGTH.size + length])
    data = content[_LENGTH.size + length :]
    pieces, at = [], 0
    for name, tensor in _tensors(header):
        begin, end = tensor["data_offsets"]
        piece = data[begin:end]
        width = _FLOATS.get(tensor["dtype"])
        if width is None or change == "identical":
            pass
        elif change == "constant":
            piece = bytes(len(piece))
        else:
            piece = _LARGEST * (len(piece) // width)
            header[name]["dtype"] = "BF16"
        header[name]["data_offsets"] = [at, at + len(piece)]
        at += len(piece)
        pieces.append(piece)
    header["__metadata__"] = {**header.get("__metadata__", {}), "spoilt": change}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text + b"".join(pieces)


def _tensors(header: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and description of all tensors, in the order of their data."""
    tensors = [(name, value) for name, value in header.items() if name != "__metadata__"]
    yield from sorted(tensors, key=lambda item: item[1]["data_offsets"])
