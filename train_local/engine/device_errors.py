"""What an error of a GPU means for a run, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from kit.errors import KitError

_LOST = ("CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS", "NCCL error", "NVML")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn errors of the device into messages.

    Args:
        folder: of the run.

    Raises:
        KitError: the GPU failed, or memory ran out.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise KitError(
            f"the GPU's memory ran out: {_first_line(error)}",
            where=folder,
            fix="run the same command with a smaller --batch-size (the total batch stays: more passes are "
            "accumulated) or with --checkpointing; both begin a new run",
        ) from error
    except MemoryError as error:
        raise KitError(
            "this machine's memory ran out",
            where=folder,
            fix="use fewer --workers or a smaller --batch-size, and run the same command again",
        ) from error
    except RuntimeError as error:  # torch.AcceleratorError is one, too
        lost = isinstance(error, torch.AcceleratorError) or any(words in str(error) for words in _LOST)
        if not lost:
            raise
        raise KitError(
            f"the GPU failed: {_first_line(error)}",
            where=folder,
            fix="run the same command again: it goes on from the last checkpoint. If the GPU fails again, "
            "look for Xid errors in `dmesg`, check it with `nvidia-smi`, or take another one with "
            "CUDA_VISIBLE_DEVICES",
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
