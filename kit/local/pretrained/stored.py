"""What a checkpoint's file says of a tensor, before its bytes are read; and the limit on what is unpacked."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""The types of torch's storages, without complex and quantised ones: no network here has such weights."""


class BrokenCheckpointError(ValueError):
    """A checkpoint is damaged, or of a form that nobody who trains networks writes."""


class RefusedNameError(ValueError):
    """A checkpoint asks for a class or function that it has no business with.

    Args:
        name: of the class or function, e.g. "posix.system".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class LimitError(ValueError):
    """A checkpoint unpacks to more bytes than its network can need."""


@dataclass(eq=False)
class Allowance:
    """The bytes that may still be unpacked from a checkpoint, in memory and on the disk.

    Attributes:
        limit: of all bytes together.
        taken: bytes so far.
    """

    limit: int
    taken: int = 0

    def take(self, size: int, what: str) -> None:
        """Count bytes before they are unpacked.

        Raises:
            LimitError: they would exceed the limit.
        """
        self.taken += size
        if self.taken > self.limit:
            raise LimitError(
                f"{what} has {size / 2**20:,.0f} MiB unpacked, and the file's tensors "
                f"may have {self.limit / 2**20:,.0f} MiB together"
            )


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file: its shape and type are known, its bytes are read on demand.

    Attributes:
        shape: of the tensor.
        dtype: of its numbers.
        load: reads the tensor onto the CPU. It raises `BrokenCheckpointError` or `LimitError`.
        place: equal for two names of the same numbers in the file.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    load: Callable[[], Tensor]
    place: Hashable

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def meta(self) -> Tensor:
        """Return a tensor of this shape and type without values."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


@dataclass(frozen=True, eq=False)
class Storage:
    """A run of numbers in a file of torch; tensors are views of it.

    Attributes:
        key: its name in the file.
        dtype: of its numbers.
        numel: how many numbers it has.
        read: reads all of them as a flat tensor.
        first: of a part of another storage, the first number there.
    """

    key: str
    dtype: torch.dtype
    numel: int
    read: Callable[[Storage], Tensor]
    first: int = 0

    def view(
        self, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> StoredTensor:
        """Return a tensor that looks at this storage.

        Args:
            offset: of its first number.
            shape: of the tensor.
            stride: numbers from one element to the next along each axis.
            dtype: of the numbers if the storage is one of bytes.

        Raises:
            BrokenCheckpointError: a number of the tensor lies outside the storage.
        """
        # Shape (2, 3) and stride (3, 1) from offset 4 on: the last number is 4 + 1 * 3 + 2 * 1 = 9, so the
        # storage has at least 10 numbers.
        kind = self.dtype if dtype is None else dtype
        whole = all(type(number) is int and number >= 0 for number in (offset, *shape, *stride))
        if not whole or len(shape) != len(stride):
            raise BrokenCheckpointError("a tensor has a shape, stride or offset that cannot be")
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        room = self.numel if dtype is None else self.numel // dtype.itemsize
        if math.prod(shape) and last >= room:
            raise BrokenCheckpointError("a tensor reaches beyond its storage")
        # An expanded axis (stride 0) has one number in the file and any number of them in memory.
        if math.prod(shape) > max(room, 1):
            raise BrokenCheckpointError("a tensor has more numbers than its storage")

        def load() -> Tensor:
            if not math.prod(shape):
                return torch.empty(shape, dtype=kind)
            flat = self.read(self)
            return torch.as_strided(flat if dtype is None else flat.view(dtype), shape, stride, offset)

        return StoredTensor(shape, kind, load, (self.key, self.first + offset, shape, stride))
