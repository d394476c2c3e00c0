"""Which devices there are, and whether they compute: a GPU may be listed and fail at its first kernel."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError

_TOLERANCE = 1e-2
GIB = 1 << 30
_MEMORY_V2 = ("memory.max", "memory.current")
_MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
_CACHED = ("inactive_file ", "total_inactive_file ")


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """A device that computes, for the report.

    Attributes:
        device: "cpu" or "cuda:0", as torch calls it.
        model: name of the GPU, or "CPU".
        torch: version of torch.
        threads: that torch uses, on the CPU.
        capability: of the GPU, e.g. "8.0".
        memory_gib: of the GPU.
    """

    device: str
    model: str
    torch: str
    threads: int | None = None
    capability: str | None = None
    memory_gib: float | None = None


def gpu_slots(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """Return the value of CUDA_VISIBLE_DEVICES for each GPU, without importing torch.

    Args:
        environment: a CUDA_VISIBLE_DEVICES in it limits the choice.
        devices: folder where the driver shows one file per GPU.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [item.strip() for item in chosen.split(",") if item.strip() not in {"", "-1"}]
    shown = [entry.name for entry in devices.iterdir()] if devices.is_dir() else []
    count = sum(re.fullmatch(r"nvidia\d+", name) is not None for name in shown)
    return [str(index) for index in range(count)]


def cpu_count() -> int:
    """Return the cores that this process may use, by its affinity and the container's quota; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # "150000 100000": 150 ms of computing per 100 ms, which is 1.5 cores, counted as 1. "max ...": no quota.
    quota = _first_numbers(Path("/sys/fs/cgroup/cpu.max"))
    if len(quota) == 2 and quota[1] > 0:
        cores = min(cores, max(1, quota[0] // quota[1]))
    return max(1, cores)


def available_memory(control: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that new processes may use, by the machine and the container; None if unknown.

    Args:
        control: where the kernel shows the container's limits, of either version of control groups.
    """
    limits = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        limits += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        pass
    for folder, names in ((control, _MEMORY_V2), (control / "memory", _MEMORY_V1)):
        limit, used = (_first_numbers(folder / name) for name in names)
        if limit and used:
            # Cached pages of files count as used, but the kernel gives them away when memory is needed.
            limits.append(limit[0] - used[0] + _reclaimable(folder / "memory.stat"))
    return min(limits) if limits else None


def total_memory(control: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """Return the bytes of the machine's memory, or of the container's where these are fewer; None if unknown.

    Args:
        control: where the kernel shows the container's limits, of either version of control groups.
        own: file with this process's group.
    """
    limits = [_kilobytes(Path("/proc/meminfo"), "MemTotal:")]
    for place in _in_groups(control, own, _MEMORY_V2[0], _MEMORY_V1[0]):
        limits += _first_numbers(place)[:1]
    return min((limit for limit in limits if limit), default=None)


def own_memory(pid: int) -> int:
    """Return the bytes that a process has in memory for itself alone; 0 if it has ended."""
    # Of "70400 9000 2500 ..." the second is the pages in memory, and the third those among them that are of
    # files or shared. These do not count: all workers have the same pages of torch's libraries, and the
    # kernel drops them when memory is needed.
    try:
        pages = _first_numbers(Path(f"/proc/{pid}/statm"))
        return (pages[1] - pages[2]) * os.sysconf("SC_PAGE_SIZE")
    except IndexError:
        return 0


def _kilobytes(path: Path, name: str) -> int:
    """Return the bytes that a line such as "VmHWM:  1234 kB" tells, 0 without it."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        return next((int(row[1]) * 1024 for row in rows if row[:1] == [name]), 0)
    except (OSError, ValueError, IndexError):
        return 0


def memory_kills(control: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many processes of this container the kernel ended because memory ran out; 0 if unknown.

    Args:
        control: where the kernel shows the container's events, of either version of control groups.
        own: file with this process's group.
    """
    counts = [0]
    for place in _in_groups(control, own, "memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            words = place.read_text(encoding="utf-8").split()
            counts.append(int(words[words.index("oom_kill") + 1]))
    return max(counts)


def _in_groups(control: Path, own: Path, second: str, first: str) -> list[Path]:
    """Return where a file of this process's control group may lie, which has one name in each version."""
    # "0::/user/job" (version 2), "9:memory:/docker/ab" (version 1); a container may see its own as root.
    lines = []
    with contextlib.suppress(OSError):
        lines = own.read_text(encoding="utf-8").splitlines()
    groups = dict.fromkeys(["", *(line.rpartition(":")[2].lstrip("/") for line in lines)])
    return [
        place for group in groups for place in (control / group / second, control / "memory" / group / first)
    ]


def _reclaimable(statistics: Path) -> int:
    try:
        lines = statistics.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) for line in lines if line.startswith(_CACHED)), default=0)


def _first_numbers(path: Path) -> list[int]:
    try:
        words = path.read_text(encoding="utf-8").split()
    except OSError:
        return []
    return [int(word) for word in words] if all(word.isdigit() for word in words) else []


def check(device: str) -> DeviceFacts:
    """Compute something on a device and compare it with the CPU.

    Args:
        device: "cpu" or "cuda:0".

    Raises:
        KitError: the device is not there, or does not compute, or computes something else.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    # A convolution in half precision, as networks need it. A kernel's 72 weights sum to about 0.5, so results
    # are near 0.25, where half precision errs by about 1e-4: the tolerance of 1e-2 finds broken kernels only.
    x_NCHW = torch.rand(2, 8, 32, 32, generator=generator)
    kernel = torch.rand(8, 8, 3, 3, generator=generator) / 72
    expected = torch.nn.functional.conv2d(x_NCHW, kernel)
    if device == "cpu":
        finite = bool(torch.isfinite(expected).all())
        if not finite:
            raise KitError(
                "the CPU computed values that are not numbers", where=device, fix="restart the machine"
            )
        threads = torch.get_num_threads()
        return DeviceFacts(device=device, model="CPU", torch=str(torch.__version__), threads=threads)
    model = device
    try:
        properties = torch.cuda.get_device_properties(device)
        model = str(properties.name)
        result = torch.nn.functional.conv2d(x_NCHW.to(device).half(), kernel.to(device).half()).float().cpu()
    except (RuntimeError, AssertionError) as error:
        raise KitError(
            f"{model} cannot be used: {str(error).splitlines()[0]}",
            where=device,
            fix="choose an accelerator this image's torch was built for",
        ) from error
    if not torch.allclose(result, expected, atol=_TOLERANCE):
        raise KitError(f"{model} computes wrong values", where=device, fix="choose another accelerator")
    return DeviceFacts(
        device=device,
        model=model,
        torch=str(torch.__version__),
        capability=f"{properties.major}.{properties.minor}",
        memory_gib=round(properties.total_memory / GIB, 1),
    )
