"""System, processors and memory, as far as this process may use them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from kit.local.doctor.finding import Finding
from kit.local.interpreters import PYTHONS
from kit.local.wording import amount

_LEAST_MEMORY = 4e9
"""The demo trains and predicts tiny networks in two processes of less than 2 GB each."""
_KAGGLE_MEMORY = 29 << 30
"""What a rehearsal gives predict.py, as Kaggle does."""
_UNLIMITED = 1 << 60
"""cgroup v1 writes about 2**63 where there is no limit."""


def look(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[Finding]:
    """Return what the machine is.

    Args:
        groups: where control groups are mounted.
        own: the file that says in which group this process is.
    """
    return [_system(), _python(), _processors(groups, own), _memory(groups, own)]


def _system() -> Finding:
    name, machine = platform.system(), platform.machine()
    libc = " ".join(platform.libc_ver())
    told = f"{name} {platform.release()}, {machine}, {libc}"
    facts = {"system": name, "machine": machine, "libc": libc}
    if name != "Linux":
        fix = "use a Linux machine, a container or WSL 2"
        return Finding(
            about="system", level="problem", told=f"{told}: the kit runs on Linux", fix=fix, facts=facts
        )
    if machine != "x86_64":
        fix = "train here; build, gate and rehearse on a machine with an x86_64 processor, which Kaggle has"
        return Finding(about="system", level="note", told=told, fix=fix, facts=facts)
    return Finding(about="system", level="ok", told=told, facts=facts)


def _python() -> Finding:
    version = platform.python_version()
    fine = ".".join(version.split(".")[:2]) in PYTHONS
    fix = "" if fine else f"run nox with one of these: python{PYTHONS[1]} -m nox -s doctor"
    told = version if fine else f"{version}, and the lock holds for {', '.join(sorted(PYTHONS))}"
    return Finding(about="Python of this command", level="ok" if fine else "problem", told=told, fix=fix)


def _processors(groups: Path, own: Path) -> Finding:
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    quota = cpu_quota(groups, own)
    told = f"{usable} of {there} may be used" if usable < there else f"{there}"
    if quota is not None and quota < usable:
        told += f", and the container's limit is the time of {quota:g}"
    few = min(usable, quota or usable) < 2
    fix = "the demo takes twice as long; rehearse with --slow-down 1 and a longer --budget" if few else ""
    return Finding(
        about="processors",
        level="note" if few else "ok",
        told=told,
        fix=fix,
        facts={"usable": usable, "there": there, "quota": quota},
    )


def _memory(groups: Path, own: Path) -> Finding:
    there, free = _meminfo("MemTotal"), _meminfo("MemAvailable")
    limit, used = memory_limit(groups, own)
    most = min(there, limit) if limit else there
    left = min(free, limit - used) if limit else free
    told = f"{amount(most)}, {amount(left)} free"
    if limit and limit < there:
        told += f" (the container's limit; the machine has {amount(there)})"
    facts = {"bytes": most, "free": left, "limit": limit}
    if most < _LEAST_MEMORY:
        fix = f"give this machine or container {amount(_LEAST_MEMORY)} or more"
        return Finding(about="memory", level="problem", told=told, fix=fix, facts=facts)
    if left < _LEAST_MEMORY:
        fix = "end other programs: a process of the kit takes up to 2 GB, a full training more"
        return Finding(about="memory", level="note", told=told, fix=fix, facts=facts)
    if most < _KAGGLE_MEMORY:
        fix = "enough for the demo; Kaggle has 29 GB, so a rehearsal here has less room: --memory-gb"
        return Finding(about="memory", level="note", told=told, fix=fix, facts=facts)
    return Finding(about="memory", level="ok", told=told, facts=facts)


def _meminfo(name: str) -> int:
    """Bytes of a line of /proc/meminfo: "MemTotal:  16384 kB"."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def memory_limit(groups: Path, own: Path) -> tuple[int | None, int]:
    """Return the least memory limit of this process's control groups and what that group uses, in bytes.

    The limit is None where there is none.
    """
    found: list[tuple[int, int]] = []
    for folder in _folders(groups, own, "memory"):
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            number = _number(folder / limit)
            if number is not None and number < _UNLIMITED:
                found.append((number, _number(folder / used) or 0))
    return min(found, default=(None, 0))


def cpu_quota(groups: Path, own: Path) -> float | None:
    """Return how many processors' time the control groups allow; None without a limit."""
    found = []
    for folder in _folders(groups, own, "cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        text = _text(folder / "cpu.max").split()  # "200000 100000", or "max 100000"
        if len(text) == 2 and text[0].isdigit():
            quota, period = int(text[0]), int(text[1])
        if quota is not None and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def _folders(groups: Path, own: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it, of cgroup v2 and of v1."""
    # "0::/user.slice/session-3.scope" is of v2, "4:cpu,cpuacct:/docker/1b2f" of v1. A container sees its own
    # group as the root, whatever the line says.
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = groups / controller if controllers else groups
        parts = Path(path.lstrip("/"))
        yield from (root / part for part in (parts, *parts.parents))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
