"""Time the set-up inside predict.py (find, verify, restore, install) beside uv and pip on the same wheels.

Then the same files on two mounts where each stream is slow, beside sixteen threads that only read them.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.child import call
from benchmarks.machine import made_by
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import SetUpOptions
from benchmarks.rounds import in_turns, median_ratio
from bundle import dataset, dataset_metadata, wheelinfo
from bundle.archives import place_wheel
from bundle.dataset import Content, entry_of
from bundle.own_wheels import own_wheels
from bundle.pip_download import WheelCache
from bundle.roots import ROOTS
from bundle.wheels import closure_for
from kit.errors import KitError
from kit.local import lockfile, targets
from kit.local.console import console
from kit.local.offline.kaggle_shape import mount_dataset
from kit.local.targets import Target
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from kit.local.wording import amount, counted
from kit.manifest import Wheel
from submission.runtime.inputs.wheels import is_protected

NAME = "set-up-wheels"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
_TINY = 10
"""Wheels of the tiny form, the smallest ones."""
_COPIES = 20
"""The wheels lie there three times, and a tool unpacks them twice at most, to four times the size."""
PACKED, OURS, UV, PIP = (
    "predict.py, archives packed",
    "predict.py",
    "uv pip install",
    "pip install --no-index",
)
STREAMS, VERIFIED = "16 streams, read only", "predict.py: find, verify, restore"
HEAD = ("way", "seconds", "find", "verify, restore", "install", "times as long as predict.py")
THROTTLED_HEAD = ("MB/s of a stream", "way", "seconds", "MB/s", "seconds of CPU")


def choose(target: Target, *, cache: Path, lock: Path, megabytes: float) -> list[Path]:
    """Return real wheels for this Python: what the bundle ships, then more of the lock's up to a size.

    Args:
        target: an image with this Python.
        cache: of downloads.
        lock: `requirements.lock`.
        megabytes: to reach.

    Raises:
        KitError: a wheel of the bundle cannot be downloaded.
    """
    pins, downloads = lockfile.load(lock), WheelCache(cache)
    names = [root.name for root in ROOTS]
    closure = closure_for(names, pins, target, downloads, own_wheels(names, cache))
    chosen = {name: info.path for name, info in closure.wheels.items()}
    for name, pin in sorted(lockfile.select(pins, target.environment()).items()):
        if sum(path.stat().st_size for path in chosen.values()) >= megabytes * 1e6:
            break
        if name not in chosen and not is_protected(name) and not target.leaves_to_image(name):
            with suppress(KitError):  # a source distribution, or nothing for this Python
                chosen |= downloads.fetch([pin], target)
    return sorted(chosen.values())


def write_bundle(wheels: Sequence[Path], folder: Path, tag: str) -> Path:
    """Write a dataset of wheels as `bundle build` does; return its folder."""
    contents = []
    for path in wheels:
        info = wheelinfo.read(path)
        about = Wheel(
            name=info.name,
            version=info.version,
            tags=info.tag_names(),
            accepts=f"=={info.version}",
            requires={tag: []},
        )
        entry = entry_of(path, place_wheel(path.name, info.tag_names()), role="wheel", wheel=about)
        contents.append(Content(entry=entry, source=path))
    metadata = dataset_metadata.describe(
        NAME,
        owner="owner",
        title="set-up wheels",
        subtitle="Wheels for the benchmark of the set-up",
        licence="other",
        description="Wheels.",
    )
    dataset.write(folder / NAME, contents, metadata, targets=[tag])
    return folder / NAME


def run(options: SetUpOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure, print the tables, and keep them in the docs if the options say so.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the tables.
        docs: document with the block.

    Raises:
        KitError: no known image has this Python, a wheel is missing, or a way fails.
    """
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    fitting = [target for target in targets.known() if target.tag == tag]
    if not fitting:
        raise KitError(f"no known image has Python {tag}", fix="run the benchmark with a Python of an image")
    megabytes = 0.0 if options.tiny else options.megabytes
    wheels = choose(fitting[0], cache=options.cache, lock=options.lock, megabytes=megabytes)
    if options.tiny:
        wheels = sorted(wheels, key=lambda path: path.stat().st_size)[:_TINY]
    size = sum(path.stat().st_size for path in wheels)
    console().print(f"{counted(len(wheels), 'wheel')}, {amount(size)}", markup=False)
    place = (options.scratch or _memory(size) or options.cache).absolute()
    with tempfile.TemporaryDirectory(dir=place, prefix=".set-up-") as name:
        scratch = Path(name)
        source = write_bundle(wheels, scratch, tag)
        roots = {}
        for archives in ("unpacked", "packed"):
            roots[archives] = scratch / archives
            mount_dataset(roots[archives], source, archives=archives)
        text = _installed(wheels, roots, scratch, options.rounds)
        found = [
            _throttled(roots["unpacked"], scratch, options, size, at)
            for at in (options.stream, options.slower)
        ]
        text += "\n\n" + table(THROTTLED_HEAD, [row for rows, _ in found for row in rows])
        text += "\n\n" + "\n".join(said for _, said in found)
    text += (
        f"\n\n{counted(len(wheels), 'wheel')} of {amount(size)} in all, "
        f"{counted(options.rounds, 'round')}, {'in memory' if place == _MEMORY else 'on a disk'}; "
        f"{made_by(command)}"
    )
    print(text)
    if options.write_docs:
        write_block(docs, "set-up", text)


def _memory(size: int) -> Path | None:
    """Return a folder in memory, if wheels of so many bytes and all that is made of them fit in.

    A disk of a shared machine takes one and the same installation in a few seconds after a pause and in
    several times as many after other writing, so the ratio of two tools would say which of them came after a
    pause.
    """
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free > _COPIES * size else None
    except OSError:
        return None


def _installed(wheels: Sequence[Path], roots: dict[str, Path], scratch: Path, rounds: int) -> str:
    parts: dict[str, list[dict[str, float]]] = {OURS: [], PACKED: []}

    def ours(name: str, root: Path) -> None:
        os.sync()  # what the way before wrote is not this way's work
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            parts[name].append(_child(root, Path(folder), install=True))

    alone: dict[str, list[float]] = {UV: [], PIP: []}

    def peer(name: str, command: Sequence[str]) -> None:
        os.sync()
        alone[name].append(_peer(command, wheels, scratch))

    # Times of ours are those that its own process measured: it would have been started anyway.
    ways: dict[str, Callable[[], object]] = {
        OURS: partial(ours, OURS, roots["unpacked"]),
        PACKED: partial(ours, PACKED, roots["packed"]),
        UV: partial(peer, UV, [find_uv(), "pip", "install", "--python", sys.executable, "--offline"]),
        PIP: partial(peer, PIP, [sys.executable, "-m", "pip", "install"]),
    }
    in_turns(ways, rounds)
    times = {name: [sum(one.values()) for one in found[1:]] for name, found in parts.items()}
    times |= {name: found[1:] for name, found in alone.items()}
    rows = []
    for name, seconds in times.items():
        shown = [
            f"{statistics.median(one[part] for one in parts[name][1:]):.2f}" if name in parts else ""
            for part in ("find", "restore", "install")
        ]
        ratio = "1" if name == OURS else f"{median_ratio(seconds, times[OURS]):.2f}"
        rows.append([name, f"{statistics.median(seconds):.2f}", *shown, ratio])
    return table(HEAD, rows)


def _peer(command: Sequence[str], wheels: Sequence[Path], scratch: Path) -> float:
    """Install the wheels with a tool as a user calls it, into an empty folder and with an empty cache.

    Returns:
        Seconds of the tool alone, without the removal of what it made.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        environment = {**tool_environment(), "UV_CACHE_DIR": f"{folder}/uv", "PIP_CACHE_DIR": f"{folder}/pip"}
        how = ("--quiet", "--no-index", "--no-deps", "--target", f"{folder}/site")
        began = time.perf_counter()
        done = subprocess.run(
            [*command, *how, *map(str, wheels)], env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        raise KitError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-400:]}")
    return seconds


def _throttled(
    root: Path, scratch: Path, options: SetUpOptions, size: int, stream: float
) -> tuple[list[list[str]], str]:
    """Return the table's rows for a mount where a stream gives `stream` MB/s, and a sentence about them."""
    seconds: dict[str, list[float]] = {VERIFIED: [], STREAMS: []}
    cpu: dict[str, list[float]] = {VERIFIED: [], STREAMS: []}

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            found = _child(root, Path(folder), install=False, megabytes_per_s=stream)
            cpu[VERIFIED].append(found.pop("cpu"))
            seconds[VERIFIED].append(sum(found.values()))

    def streams() -> None:
        found = _child(root, scratch, streams=options.streams, megabytes_per_s=stream)
        cpu[STREAMS].append(found.pop("cpu"))
        seconds[STREAMS].append(found["read"])

    in_turns({VERIFIED: ours, STREAMS: streams}, options.rounds)
    times = {name: found[1:] for name, found in seconds.items()}
    work = {name: statistics.median(found[1:]) for name, found in cpu.items()}
    rows = [
        [
            f"{stream:g}",
            name,
            f"{statistics.median(found):.2f}",
            f"{size / 1e6 / statistics.median(found):.0f}",
            f"{work[name]:.2f}",
        ]
        for name, found in times.items()
    ]
    share = 100 * median_ratio(times[STREAMS], times[VERIFIED])
    return rows, (
        f"Where a stream gives {stream:g} MB/s, predict.py reaches {share:.0f} % of what "
        f"{options.streams} streams give that only read. Its hashes and reads take "
        f"{work[VERIFIED]:.2f} s of CPU: on {os.cpu_count()} free cores it cannot end before "
        f"{work[VERIFIED] / (os.cpu_count() or 1):.2f} s."
    )


def _child(root: Path, scratch: Path, **request: Any) -> dict[str, float]:
    given = {"root": str(root), "scratch": str(scratch), **request}
    # uv stands on PATH in Kaggle's image; here it may be a package of this environment only.
    path = os.pathsep.join([str(Path(find_uv()).parent), os.environ.get("PATH", "")])
    return call("benchmarks.set_up_step", given, what="the set-up", environment={**os.environ, "PATH": path})
