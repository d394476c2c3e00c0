"""One forward pass that survives a full memory: the batch is halved, the result stays the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from kit.errors import KitError

T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """True for what torch, cuDNN and cuBLAS raise when an allocation fails, and for nothing else."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    signs = ("DefaultCPUAllocator: can't allocate", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


@contextmanager
def inference(device: torch.device, *, autocast: bool) -> Iterator[None]:
    """No gradients; float16 autocast on CUDA if asked for."""
    with (
        torch.inference_mode(),
        torch.autocast("cuda", torch.float16, enabled=autocast and device.type == "cuda"),
    ):
        yield


class Batcher:
    """Runs a function over batches, in pieces where a whole batch does not fit.

    Attributes:
        size: the largest batch that is tried; shrinks by half whenever memory runs out and stays there.
    """

    def __init__(self, size: int, *, where: str) -> None:
        self.size = size
        self._where = where

    def run(self, function: Callable[[torch.Tensor], T], x_NCHW: torch.Tensor) -> list[T]:
        """The function's results over the pieces of a batch, in order.

        Args:
            function: takes (n, C, H, W) with n <= the batch; its result for a piece must not depend on the
                others.
            x_NCHW: the batch, on the CPU.

        Raises:
            KitError: a single item does not fit.
        """
        return self.pieces(lambda piece: function(x_NCHW[piece]), len(x_NCHW))

    def pieces(self, function: Callable[[slice], T], count: int) -> list[T]:
        """The function's results over pieces of `count` items, in order.

        Args:
            function: takes which items; its result for them must not depend on the others.
            count: items in all.

        Raises:
            KitError: a single item does not fit.
        """
        results: list[T] = []
        done = 0
        while done < count:
            piece = slice(done, min(done + self.size, count))
            try:
                results.append(function(piece))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                too_large = piece.stop - piece.start
            else:
                done = piece.stop
                continue
            # Outside the handler: the traceback in it would keep the failed pass's tensors alive.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if too_large == 1:
                raise KitError(
                    "memory ran out with a batch of one",
                    where=self._where,
                    fix="use a smaller window or size in the recipe's settings, or a device with more memory",
                )
            self.size = max(1, too_large // 2)
        return results
