"""Look at the machine this runs on and write `observed.json`: one file, standard library, Python >= 3.8.

The same text is the source of the kernel that `bundle probe` pushes, and what `probe --local` runs here.
Whatever cannot be found out is null. Of the environment only the names are written, never a value: some are
credentials.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SCHEMA = 1
DISKS = ("/", "/kaggle/working", "/kaggle/tmp", "/tmp")  # noqa: S108 - looked at, not written to
WAIT = 300
"""Seconds that torch, or another program that is asked, may take."""

# Runs in a process of its own: a broken torch may end the process, and a GPU may refuse the first operation
# although is_available() said yes.
ASK_TORCH = """
import json, torch
says = {"version": torch.__version__, "cuda": torch.version.cuda, "gpus": []}
says["arch_list"] = torch.cuda.get_arch_list()
for number in range(torch.cuda.device_count()):
    at = torch.cuda.get_device_properties(number)
    gpu = {"name": at.name, "compute_capability": f"{at.major}.{at.minor}", "memory_bytes": at.total_memory}
    try:
        a = torch.ones(64, 64, device=f"cuda:{number}")
        gpu["computes"], gpu["problem"] = float((a @ a).sum()) == 64.0**3, None
    except Exception as error:
        gpu["computes"], gpu["problem"] = False, str(error)[:500]
    says["gpus"].append(gpu)
print("\\n" + json.dumps(says))
"""


def observe() -> dict[str, Any]:
    """Return what can be seen of this machine, as a plain JSON value."""
    freeze, requires = distributions()
    torch = ask_torch()
    return {
        "schema": SCHEMA,
        "kind": "observed",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "tags": tags(),
        "glibc": glibc(),
        "freeze": freeze,
        "requires": requires,
        "torch": torch,
        "driver": driver(),
        "ram_bytes": ram_bytes(),
        "cores": cores(),
        "disks": {path: disk(path) for path in DISKS if Path(path).is_dir()},
        "image": os.environ.get("KAGGLE_DOCKER_IMAGE"),
        "run_type": os.environ.get("KAGGLE_KERNEL_RUN_TYPE"),
        "git_commit": first_line("/etc/git_commit"),
        "build_date": first_line("/etc/build_date"),
        "environment": sorted(os.environ),
        "mounts": mounts("/kaggle/input"),
        "tools": {name: shutil.which(name) is not None for name in ("uv", "pip", "nvcc", "gcc", "ninja")},
    }


def distributions() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return name -> version, and name -> its Requires-Dist lines, of every installed distribution."""
    freeze: dict[str, str] = {}
    requires: dict[str, list[str]] = {}
    # The first folder of sys.path wins, as it does for an import.
    for item in importlib.metadata.distributions():
        try:
            name, version = item.metadata["Name"], item.version
            needs = item.requires or []
        except Exception:  # noqa: BLE001, S112 - a broken dist-info folder is no reason to end
            continue
        key = re.sub(r"[-_.]+", "-", name or "").lower()
        if key and version and key not in freeze:
            freeze[key], requires[key] = version, list(needs)
    return freeze, requires


def tags() -> list[str]:
    """Return the wheel tags this Python installs, best first; empty where nothing can tell."""
    for module in ("packaging.tags", "pip._vendor.packaging.tags"):
        code = (
            f"import json\nfrom {module} import sys_tags\nprint(json.dumps([str(tag) for tag in sys_tags()]))"
        )
        found = last_json([sys.executable, "-c", code])
        if isinstance(found, list):
            return found
    return []


def glibc() -> str | None:
    """Return the version of the C library that runs, e.g. "2.35"; None if it is another one."""
    try:
        ask = ctypes.CDLL(None).gnu_get_libc_version
    except (OSError, AttributeError):
        return None
    ask.restype = ctypes.c_char_p
    version: bytes = ask()
    return version.decode()


def ask_torch() -> dict[str, Any]:
    """Return what torch says of itself and of the GPUs, or why it says nothing."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, timeout=WAIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"problem": str(error)[:500]}
    try:
        says: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"problem": (done.stderr.strip() or f"exit code {done.returncode}")[-500:]}
    return says


def last_json(command: list[str]) -> Any:
    """Return the value that a program prints in its last line; None if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None


def driver() -> str | None:
    """Return the version of the NVIDIA driver, None without one."""
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=WAIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else None


def ram_bytes() -> int | None:
    """Return the memory of the session: the control group's limit if that is smaller than the machine's."""
    found = []
    line = re.search(r"MemTotal:\s+(\d+) kB", whole("/proc/meminfo"))
    if line:
        found.append(int(line.group(1)) * 1024)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = whole(path).strip()
        if limit.isdigit():
            found.append(int(limit))
    return min(found) if found else None


def cores() -> int | None:
    """Return the logical processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count()


def disk(path: str) -> dict[str, int] | None:
    """Return size and free bytes of the disk behind a folder."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return {"total_bytes": usage.total, "free_bytes": usage.free}


def mounts(root: str) -> list[str]:
    """Return the folders three levels below a root: datasets/<owner>/<name>, competitions/<name>, ..."""
    found = []
    for folder, folders, _ in os.walk(root):
        depth = os.path.relpath(folder, root).count(os.sep) + 1 if folder != root else 0
        if depth:
            found.append(os.path.relpath(folder, root))
        if depth == 3:
            folders.clear()
    return sorted(found)[:1000]


def whole(path: str) -> str:
    """Return the text of a file of the system, "" if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def first_line(path: str) -> str | None:
    """Return the first line of a file, None without one."""
    lines = whole(path).splitlines()
    return lines[0] if lines else None


def main() -> None:
    """Write observed.json into the folder that --out names, on Kaggle the output folder."""
    parser = argparse.ArgumentParser()
    default = "/kaggle/working" if Path("/kaggle/working").is_dir() else "."
    parser.add_argument("--out", default=default)
    path = Path(parser.parse_known_args()[0].out) / "observed.json"
    seen = observe()
    part = path.with_name("observed.json.tmp")
    part.write_text(json.dumps(seen, indent=1, sort_keys=True), encoding="utf-8")
    part.replace(path)
    names = ("python", "glibc", "driver", "cores", "ram_bytes", "image", "torch")
    print(json.dumps({name: seen[name] for name in names}))
    print(f"observed.json: {len(seen['freeze'])} distributions, {len(seen['tags'])} tags")


if __name__ == "__main__":
    main()
