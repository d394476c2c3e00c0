"""The memory of predict.py over the size of a slide: the supervisor's and the worker's, pass by pass."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.slide_data import write_slide
from benchmarks.tiny_submission import UNET, Form, TinySubmission, write
from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.console import track

HEAD = (
    "slide",
    "members x views",
    "one map in memory would take MB",
    "supervisor, most MB",
    "worker, most MB",
    "results on the disk, most MB",
    "seconds",
)
_SIDES, _TINY_SIDES = (3000, 10000, 30000), (256,)
_MEMBERS = (1, 3)
_LOOK = 0.2
"""Seconds between two looks at the memory; what a process had at most, the kernel keeps itself."""


def measure(*, tiny: bool) -> str:
    """Run predict.py over slides of several sizes with ensembles of several, and return the table.

    Args:
        tiny: over slides that take seconds.
    """
    rows = []
    sides = _TINY_SIDES if tiny else _SIDES
    with tempfile.TemporaryDirectory(prefix="workers-bench-") as name:
        kits = {count: write(Path(name) / f"members{count}", _form(count)) for count in _MEMBERS}
        ways = [(side, count) for side in sides for count in _MEMBERS]
        for side, count in track(ways, total=len(ways), description="slides"):
            with tempfile.TemporaryDirectory(dir=name) as folder:
                rows.append(_row(kits[count], Path(folder), side, count))
    note = (
        "One slide, one worker on the CPU. A map of float32 would take four bytes for each pixel; the "
        "worker has torch and its network in memory whatever the slide is."
    )
    return f"{table(HEAD, rows)}\n\n{note}"


def _form(members: int) -> Form:
    return Form(
        members=members,
        views=("identity",),
        rungs=(members,),
        network=UNET,
        inference={"core": 1536, "context": 384, "scale": 0.125, "batch_size": 4},
        seconds_per_megapixel=0.1,
    )


def _row(made: TinySubmission, folder: Path, side: int, members: int) -> list[str]:
    root = made.mount(
        folder / "input",
        {"slide": (side, side)},
        write_slide=lambda path, seed, size: write_slide(path, size[0], seed=seed),
    )
    began = time.monotonic()
    peaks, disk = _run(made.script, root, folder / "out")
    seconds = time.monotonic() - began
    supervisor, worker = peaks
    return [
        f"{side} x {side}",
        f"{members} x 1",
        f"{side * side * 4 / 1e6:.0f}",
        f"{supervisor / 1e6:.0f}",
        f"{worker / 1e6:.0f}",
        f"{disk / 1e6:.0f}",
        f"{seconds:.0f}",
    ]


def _run(script: Path, root: Path, out: Path) -> tuple[tuple[int, int], int]:
    """Run predict.py; return the most bytes of the supervisor and of its largest child, and on the disk."""
    out.mkdir()
    scratch = out / "scratch"
    scratch.mkdir()
    options = ("--input", root, "--output", out, "--device", "cpu", "--budget", 3600, "--workers", 1)
    with (out / "printed").open("w") as printed:
        process = subprocess.Popen(
            [sys.executable, str(script), *map(str, options)],
            env={**os.environ, "TMPDIR": str(scratch)},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        peaks: dict[int, int] = {}
        disk = 0
        while process.poll() is None:
            peaks |= peaks_below(process.pid)
            disk = max(disk, sum(_size(path) for path in scratch.rglob("*")))
            time.sleep(_LOOK)
    report = read_json(out / "report.json") if (out / "report.json").is_file() else {}
    if process.returncode or any(rung["state"] != "done" for rung in report.get("rungs", ())):
        raise KitError(
            f"predict.py ended with the code {process.returncode}, or did not do all rungs",
            where=out / "printed",
        )
    children = [peak for pid, peak in peaks.items() if pid != process.pid]
    return (peaks[process.pid], max(children)), disk


def peaks_below(pid: int) -> Mapping[int, int]:
    """Return the most resident bytes so far of a process and of its descendants."""
    found, waiting = {}, [pid]
    while waiting:
        one = waiting.pop()
        try:
            # "VmHWM:   123456 kB"; a process that just ended has no such line.
            status = Path(f"/proc/{one}/status").read_text()
            peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), None)
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
        if peak is not None:
            found[one] = int(peak.split()[1]) * 1024
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512 if path.is_file() else 0
    except FileNotFoundError:
        return 0
