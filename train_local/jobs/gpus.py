"""The GPUs of this machine, without loading torch."""

from __future__ import annotations

import os
import shutil
import subprocess


def find_gpus(limit: int | None = None) -> dict[str, float]:
    """Return the GPUs that this process may use: id -> memory in GB. Without NVIDIA's driver there are none.

    Args:
        limit: take only the first of them.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None or limit == 0:
        return {}
    query = [tool, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    rows = [line.split(", ") for line in done.stdout.splitlines() if line.count(", ") == 2]
    memory = {key: float(row[2]) / 1024 for row in rows for key in row[:2] if row[2].strip().isdigit()}
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    ids = (
        [row[0] for row in rows]
        if named is None
        else [part.strip() for part in named.split(",") if part.strip()]
    )
    return {gpu: memory.get(gpu, 0.0) for gpu in ids[:limit]}
