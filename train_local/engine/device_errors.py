"""What errors of a device, of memory or of a disk mean for a job, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from kit.errors import KitError
from kit.inference.forward import is_out_of_memory

# An error of NCCL is none of these: it is what the others see when one of several processes has gone
# (`processes`).
_LOST = ("CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS", "NVML")
_OF_A_GPU = ("CUDA", "CUDNN", "CUBLAS")
_SHARED = ("allocate shared memory", "unable to write to file </torch_", "unable to resize file </torch_")
"""What torch says when /dev/shm is full, through which data workers hand their examples over."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GO_ON = "run the same command again: it goes on from what was stored last"


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn errors of the device, of memory and of the disk into messages.

    Args:
        folder: of the job.

    Raises:
        KitError: the GPU failed, memory ran out, or a disk is full.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:  # torch.AcceleratorError is a RuntimeError
        told = _in_words(error, folder)
        if told is None:
            raise
        raise told from error


def _in_words(error: Exception, folder: Path) -> KitError | None:
    """What happened and what to do; None for an error that is none of the machine's."""
    text = str(error)
    if any(words in text for words in _SHARED):
        return KitError(
            f"the data workers' shared memory, /dev/shm, is full: {_last_line(error)}",
            where="--workers",
            fix=f"enlarge it (a container: docker run --shm-size 8g) or use --workers 0; {_GO_ON}",
        )
    if is_out_of_memory(error):
        of_gpu = isinstance(error, torch.OutOfMemoryError) or any(word in text.upper() for word in _OF_A_GPU)
        return _out_of_memory(error, folder, of_gpu=of_gpu)
    if isinstance(error, OSError) and error.errno in _FULL:
        place = folder if error.filename is None else error.filename
        return KitError(f"cannot write: {error.strerror}", where=place, fix=f"make room there and {_GO_ON}")
    if isinstance(error, torch.AcceleratorError) or any(words in text for words in _LOST):
        return KitError(
            f"the GPU failed: {_first_line(error)}",
            where=folder,
            fix=f"{_GO_ON}. If the GPU fails again, look for Xid errors in `dmesg`, check it with "
            "`nvidia-smi`, or take another one with CUDA_VISIBLE_DEVICES",
        )
    return None


def _out_of_memory(error: Exception, folder: Path, *, of_gpu: bool) -> KitError:
    if of_gpu:
        return KitError(
            f"the GPU's memory ran out: {_first_line(error)}",
            where=folder,
            fix="run the same command with a smaller --batch-size (the total batch stays: more passes are "
            "accumulated) or with --checkpointing; both begin a new run",
        )
    return KitError(
        f"this machine's memory ran out: {_last_line(error)}",
        where=folder,
        fix="use fewer --workers or a smaller --batch-size, and run the same command again",
    )


def _first_line(error: BaseException) -> str:
    return _lines(error)[0]


def _last_line(error: BaseException) -> str:
    """What went wrong in a data worker stands behind its traceback."""
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]
