"""How much memory a training may use: of a GPU, or of this machine and its control groups."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch

_V2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))


def free_memory(processes: int, *, on_gpu: bool) -> tuple[int, str]:
    """Return the free bytes for each process, and the name of the device.

    Args:
        processes: that train together; each has a GPU, or a share of the CPU's memory.
        on_gpu: where they compute.
    """
    if on_gpu:
        free = [(torch.cuda.mem_get_info(index)[0], index) for index in range(processes)]
        least, index = min(free)
        return least, f"GPU {index} ({torch.cuda.get_device_name(index)})"
    return min([_of_machine(), *of_groups()]) // processes, "this machine"


def of_groups(control: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Return what each control group around this process (a container, a Slurm job) has left, in bytes.

    Pages of files that were read count as used there, but the kernel gives them away when memory is needed: a
    container that has read 50 GB of slides is full of them.

    Args:
        control: where the kernel shows control groups, of either version.
        own: names those of this process.
    """
    left = []
    for folder, (limit, used, cached) in _levels(control, own):
        # "max" stands for no limit. A group is not there at all where the container hides it.
        with contextlib.suppress(OSError, ValueError):
            most, now = int((folder / limit).read_text()), int((folder / used).read_text())
            facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            left.append(max(most - now + sum(int(facts.get(key, 0)) for key in cached), 0))
    return left


def _levels(control: Path, own: Path) -> Iterator[tuple[Path, tuple[str, str, tuple[str, str]]]]:
    """Folders of the own group and of those around it, with the names of their files."""
    # Version 2: "0::/slurm/job_7/step_0"; version 1: "4:memory:/docker/1a2b". A limit may stand at any level.
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if not controllers:
            root, names = control, _V2
        elif "memory" in controllers.split(","):
            root, names = control / "memory", _V1
        else:
            continue
        inside = PurePosixPath(place).relative_to("/")
        for level in (inside, *inside.parents):
            yield root / level, names


def _of_machine() -> int:
    """Available memory of this machine, in bytes."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    assert found, "Linux says it since 3.14"
    return int(found[1]) * 1024
