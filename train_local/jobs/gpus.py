"""The GPUs of this machine, without loading torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from itertools import takewhile

from kit.errors import KitError

_PATIENCE = 60.0
"""Seconds that the driver has to answer."""
_GPU = re.compile(r"GPU (\d+): .*\(UUID: ")
_MIG = re.compile(r"\s+MIG \S*?(\d+)gb\S*\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")


def find_gpus(limit: int | None = None) -> dict[str, float]:
    """Return the GPUs that this process may use: id -> memory in GB, 0 if it is not known.

    Those that CUDA_VISIBLE_DEVICES names, if it is set, else all. Of a GPU that is divided (MIG) each part
    counts as one. Without NVIDIA's driver there are none.

    Args:
        limit: take only the first of them.

    Raises:
        KitError: there is a driver, and it lists no GPU: training on the CPU would take years unnoticed.
    """
    tool = shutil.which("nvidia-smi")
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if tool is None or limit == 0:
        return {}
    # CUDA ignores what stands behind an invalid id; "-1" is the usual way to name none.
    ids = None if named is None else [*takewhile(lambda part: part != "-1", _parts(named))]
    if ids == []:
        return {}
    whole, parts, problem = _listed(tool)
    if not whole and ids is None and problem:
        raise KitError(
            f"nvidia-smi lists no GPU: {problem}",
            where="nvidia-smi",
            fix="repair the driver (often a restart does), or use --device cpu",
        )
    memory = {key: size for keys, size in whole for key in keys}
    found: dict[str, float] = {}
    for keys, size in whole:
        divided = parts.get(keys[0], {})
        memory |= divided
        # CUDA takes the first part where the number of a divided GPU is named.
        memory |= dict.fromkeys(keys, next(iter(divided.values()))) if divided else {}
        found |= divided or {keys[0]: size}
    wanted = list(found) if ids is None else ids
    return {gpu: memory.get(gpu, 0.0) for gpu in wanted[:limit]}


def lost_gpus(gpus: Mapping[str, float]) -> list[str] | None:
    """Return those of some GPUs that the driver lists no longer; None if it lists none or does not answer.

    Args:
        gpus: as `find_gpus` gave them. One whose memory was not known was not in the list before either.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    whole, parts, _ = _listed(tool)
    known = {key for keys, _ in whole for key in keys} | {key for part in parts.values() for key in part}
    return [gpu for gpu, memory in gpus.items() if memory and gpu not in known] if known else None


def _parts(names: str) -> list[str]:
    return [part.strip() for part in names.split(",") if part.strip()]


def _listed(
    tool: str,
) -> tuple[list[tuple[tuple[str, str], float]], dict[str, dict[str, float]], str]:
    """What nvidia-smi lists.

    Returns:
        ((number, UUID), memory in GB) of each GPU; number of a divided GPU -> UUID of a part -> its memory;
        what went wrong.
    """
    query, problem = _asked(tool, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")
    rows = [line.split(", ") for line in query.splitlines() if line.count(", ") == 2]
    whole = [
        ((row[0], row[1]), float(row[2]) / 1024 if row[2].strip().isdigit() else 0.0)
        for row in rows
        if row[0].isdigit()
    ]
    # GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)
    #   MIG 1g.5gb      Device  0: (UUID: MIG-c7384736)
    parts: dict[str, dict[str, float]] = {}
    number = ""
    for line in _asked(tool, "-L")[0].splitlines() if whole else ():
        if gpu := _GPU.match(line):
            number = gpu[1]
        elif part := _MIG.match(line):
            parts.setdefault(number, {})[part[2]] = float(part[1])
    return whole, parts, problem


def _asked(tool: str, *arguments: str) -> tuple[str, str]:
    """What nvidia-smi answers, and what went wrong."""
    try:
        done = subprocess.run(
            [tool, *arguments], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"it did not answer in {_PATIENCE:.0f} s"
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return done.stdout, (said[0] if said else f"exit code {done.returncode}") if done.returncode else ""
