"""The disks under the folders of the kit: how much is free, what is still to come, what fills them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kit.local.doctor.environment import find_environment
from kit.local.doctor.finding import Finding
from kit.local.wording import amount

_SEEN_S = 3.0
"""Seconds for the size of one folder; a cache of millions of files is then told as "more than"."""
_ENVIRONMENT = 7e9
"""Bytes of the environment of requirements.lock, rounded up."""
_WHEELS = 0.3e9
"""Bytes of the wheels of a bundle for all known images (docs/benchmarks.md)."""
_IMAGE = 6e9
"""Bytes of a simulated image with torch, which `gate` and `rehearse` make."""
_SCRATCH = 1e9
"""Bytes of temporary files of tests and builds."""
_ROOM = 20e9
"""Bytes under which a full training (checkpoints, out-of-fold predictions) is likely to fill a disk."""


def look(root: Path) -> list[Finding]:
    """Return a finding for each disk, and the size of each cache.

    Args:
        root: of the repository.
    """
    return [*_disks(root), *_caches(root)]


def _needs(root: Path) -> dict[Path, float]:
    """Folder -> bytes that the next steps write into it and that are not there yet."""
    made = find_environment(root) is not None
    wheels, images = root / "build" / "wheels", root / "build" / "images"
    bundles = list((root / "dist").glob("**/bundle/*/manifest.json"))
    return {
        root / ".nox": 0.0 if made else _ENVIRONMENT,
        root / "work": 0.0,
        root / "runs": float(_size_of_open_runs(root / "runs")),
        root / "dist": 0.0 if bundles else _WHEELS,
        root / "build": (0.0 if wheels.is_dir() else _WHEELS) + (0.0 if images.is_dir() else _IMAGE),
        Path(tempfile.gettempdir()): _SCRATCH,
    }


def _size_of_open_runs(runs: Path) -> int:
    """Bytes that runs which have begun still write: as much as those that are done have, each."""
    folders = [path.parent for path in runs.glob("*/*/fold*/run.json") if "." not in path.parent.name]
    done = [folder for folder in folders if (folder / "done.json").is_file()]
    if not done:
        return 0
    mean = sum(size_of(folder)[0] for folder in done[:8]) / len(done[:8])
    return int(mean * (len(folders) - len(done)))


def _disks(root: Path) -> Iterator[Finding]:
    # Folders on one disk share its room: their needs are added.
    disks: dict[int, list[tuple[Path, float]]] = {}
    for folder, need in _needs(root).items():
        there = next(place for place in (folder, *folder.parents) if place.exists())
        if not os.access(there, os.W_OK):
            yield Finding(
                about=f"folder {_short(folder, root)}",
                level="problem",
                told=f"{there} cannot be written",
                fix=f"give yourself the right: chmod u+w {there}, or work in another copy of the project",
            )
        disks.setdefault(there.stat().st_dev, []).append((folder, need))
    for folders in disks.values():
        place = next(path for path in (folders[0][0], *folders[0][0].parents) if path.exists())
        free, need = shutil.disk_usage(place).free, sum(need for _, need in folders)
        names = ", ".join(_short(folder, root) for folder, _ in folders)
        told = f"{amount(free)} free" + (f", the next steps need about {amount(need)}" if need else "")
        facts = {"free": free, "needed": need, "folders": [str(folder) for folder, _ in folders]}
        level, fix = "ok", ""
        if free < need:
            level, fix = "problem", "free space, or move the project to a larger disk"
        elif free - need < _ROOM:
            level, fix = "note", "enough for the demo; `prepare --dry-run` says what your own data takes"
        yield Finding(about=f"disk of {names}", level=level, told=told, fix=fix, facts=facts)  # type: ignore[arg-type]  # one of the three


def _caches(root: Path) -> Iterator[Finding]:
    uv = Path(os.environ.get("UV_CACHE_DIR") or _user_cache() / "uv")
    places = {
        "uv's cache": uv,
        "pip's cache": Path(os.environ.get("PIP_CACHE_DIR") or _user_cache() / "pip"),
        "environments (.nox)": root / ".nox",
        "compiled operators": root / "build" / "wheels" / "native",
        "wheels": root / "build" / "wheels",
        "simulated images": root / "build" / "images",
        "weights": root / "build" / "weights",
        "published checkpoints": root / "checkpoints",
    }
    # uv makes hard links from its cache into environments: each file counts where it is seen first.
    seen: set[tuple[int, int]] = set()
    for name, place in places.items():
        if place.is_dir():
            total, shared, whole = size_of(place, seen)
            told = f"{'' if whole else 'more than '}{amount(total)} in {_short(place, root)}"
            told += f", and {amount(shared)} that are counted above" if shared else ""
            facts = {"bytes": total, "counted_above": shared, "folder": str(place)}
            yield Finding(about=name, level="ok", told=told, facts=facts)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def size_of(folder: Path, seen: set[tuple[int, int]] | None = None) -> tuple[int, int, bool]:
    """Count the bytes of the files below a folder.

    Args:
        folder: a file that it holds under two names (hard links) takes its room once.
        seen: device and inode of files that other folders hold; gets those of this one.

    Returns:
        Bytes of the files that were not seen before, bytes of the others, and whether all were seen in time.
    """
    until, total, shared = time.monotonic() + _SEEN_S, 0, 0
    seen = set() if seen is None else seen
    own: set[tuple[int, int]] = set()
    whole = True
    for path, _, names in os.walk(folder):
        if time.monotonic() > until:
            whole = False
            break
        for name in names:
            try:
                found = os.lstat(os.path.join(path, name))  # noqa: PTH118 - a million times
            except OSError:  # another process deletes files there
                continue
            place = found.st_dev, found.st_ino
            if place in own:
                continue
            own.add(place)
            if place in seen:
                shared += found.st_size
            else:
                total += found.st_size
    seen |= own
    return total, shared, whole


def _short(path: Path, root: Path) -> str:
    return f"{path.relative_to(root)}/" if path.is_relative_to(root) else str(path)
