"""On what, when and how a figure was measured."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch


def describe(device: str = "cpu") -> str:
    """One line: processor, memory, versions, date, and how busy others kept the machine."""
    if device == "cuda":
        processor = torch.cuda.get_device_name()
        memory = torch.cuda.get_device_properties(0).total_memory
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")
        processor = f"{model}, {len(os.sched_getaffinity(0))} cores"
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"{processor}, {memory / 2**30:.0f} GiB; {versions}; {time.strftime('%Y-%m-%d')}; {load}"
