import errno
from pathlib import Path

import pytest
import torch

from kit.errors import KitError
from train_local.engine.device_errors import explained


def caught(kind, text):
    """An error as torch hands it on from a data worker."""
    return kind(f"Caught {kind.__name__} in DataLoader worker process 0.\nOriginal Traceback:\n{text}")


SHARED = "unable to allocate shared memory(shm) for file </torch_7_8_9>: No space left on device (28)"
CPU_ALLOCATOR = "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    ("error", "problem", "advice"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "the GPU's memory ran out", "--batch-size"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when"), "the GPU's memory ran out", "--checkpointing"),
        (RuntimeError(CPU_ALLOCATOR), "this machine's memory ran out", "--workers"),
        (
            caught(MemoryError, "MemoryError: 3 GB"),
            "MemoryError: 3 GB",
            "--workers",
        ),
        (
            caught(RuntimeError, SHARED),
            "torch_7_8_9",
            "--shm-size",
        ),
        (torch.AcceleratorError("CUDA error: unspecified launch"), "the GPU failed", "nvidia-smi"),
        (OSError(errno.ENOSPC, "No space left on device", "/runs/log.jsonl"), "No space left", "make room"),
    ],
)
def test_what_the_machine_lacks_is_told_with_what_to_do(tmp_path, error, problem, advice):
    with pytest.raises(KitError) as told, explained(tmp_path):
        raise error
    assert problem in told.value.problem
    assert advice in told.value.fix


def test_a_disk_that_is_full_is_told_wherever_a_file_is_written(tmp_path):
    with pytest.raises(KitError, match="No space left on device") as told, explained(tmp_path):
        Path("/dev/full").write_text("a line of a log", encoding="utf-8")
    assert told.value.where == str(tmp_path)
    assert "it goes on from what was stored" in told.value.fix


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not fit"), OSError(errno.ENOENT, "gone", "a.tiff")]
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as told, explained(tmp_path):
        raise error
    assert told.value is error
