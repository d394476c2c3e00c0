"""Forward passes that survive a full memory: the batch is halved, the result stays the same."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from kit.errors import KitError

T = TypeVar("T")


_SIGNS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "bad_alloc",
    "bad allocation",
    "Insufficient memory",
)
"""What torch, cuDNN, cuBLAS, the C++ library and OpenCV say when an allocation fails."""


class OutOfMemoryError(KitError):
    """A single item does not fit into memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether this was raised because an allocation failed."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # OpenCV's errors derive from Exception alone.
    return not isinstance(error, KitError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def inference(device: torch.device, *, autocast: bool) -> Iterator[None]:
    """Compute without gradients, and with float16 autocast on CUDA if `autocast`."""
    with (
        torch.inference_mode(),
        torch.autocast("cuda", torch.float16, enabled=autocast and device.type == "cuda"),
    ):
        yield


class Batcher:
    """Runs a function over batches, in smaller pieces once memory runs out.

    Attributes:
        size: the largest piece; halved whenever memory runs out.
    """

    def __init__(self, size: int, *, where: str) -> None:
        self.size = size
        self._where = where

    def run(self, function: Callable[[torch.Tensor], T], x_NCHW: torch.Tensor) -> list[T]:
        """Return the function's results for the pieces of a batch, in order.

        Args:
            function: takes (n, C, H, W); its result for a piece must not depend on other pieces.
            x_NCHW: the batch, on the CPU.

        Raises:
            OutOfMemoryError: a single item does not fit into memory.
        """
        return self.pieces(lambda piece: function(x_NCHW[piece]), len(x_NCHW))

    def pieces(self, function: Callable[[slice], T], count: int) -> list[T]:
        """Return the function's results for pieces of `count` items, in order.

        Args:
            function: takes the slice of a piece; its result must not depend on other pieces.
            count: number of items.

        Raises:
            OutOfMemoryError: a single item does not fit into memory.
        """
        results: list[T] = []
        done = 0
        # With size 8 and 20 items, the pieces are 0..8, 8..16 and 16..20. If memory runs out at 8..16, the
        # size becomes 4 for good, and 8..12, 12..16 and 16..20 follow.
        while done < count:
            piece = slice(done, min(done + self.size, count))
            try:
                results.append(function(piece))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                too_large = piece.stop - piece.start
            else:
                done = piece.stop
                continue
            # Not in the handler, where the traceback would keep the tensors of the failed call alive.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if too_large == 1:
                raise OutOfMemoryError(
                    "memory ran out with a batch of one",
                    where=self._where,
                    fix="use a smaller window or size in the recipe's settings, or a device with more memory",
                )
            self.size = max(1, too_large // 2)
        return results
