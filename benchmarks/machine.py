"""Describe the machine and the moment of a measurement."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from kit.local.wording import counted


def describe(device: str = "cpu") -> str:
    """Return one line: processor, memory, versions, date and load; `device` is "cpu" or "cuda"."""
    if device == "cuda":
        processor = torch.cuda.get_device_name()
        memory = torch.cuda.get_device_properties(0).total_memory
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")
        processor = f"{model}, {counted(len(os.sched_getaffinity(0)), 'core')}"
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    # The average number of running processes over the last minute, this benchmark included: if it
    # uses 2 threads on 2 cores, a load of 2.0 means that nothing else ran, and 4.0 that it got about half of
    # the processor.
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"{processor}, {memory / 2**30:.0f} GiB; {versions}; {time.strftime('%Y-%m-%d')}; {load}"


def made_by(command: Sequence[str], device: str = "cpu") -> str:
    """Return the line below a table: the command that made it, and the machine.

    Args:
        command: arguments of `python -m benchmarks` as the user gave them. --docs says where the table is
            kept and not how it is made, so it is left out; a folder of this machine becomes DIR.
        device: "cpu" or "cuda".
    """
    words = ["DIR" if Path(word).is_absolute() else word for word in command]
    while "--docs" in words:
        place = words.index("--docs")
        del words[place : place + 2]
    return f"`{shlex.join(['python', '-m', 'benchmarks', *words])}` on {describe(device)}"
