"""The environment of the kit: is it there, is it that of the lock, does it compute on each GPU?

A child process in that environment looks (`inside`), because doctor itself may run in nox's Python.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kit.local.doctor.finding import Finding
from kit.local.environment_stamps import is_of, lock_identity, own_wheels_identity

_SECONDS = 300.0
"""For the first import of torch on a slow disk, and a kernel on each GPU."""
_SHOWN = 5
_OLD_MONTHS = 3
_QUERY = "--query-gpu=name,driver_version,memory.total,memory.free"


def look(root: Path) -> list[Finding]:
    """Return findings on the environment, its packages, the GPUs and the known Kaggle images.

    Args:
        root: of the repository.
    """
    python = find_environment(root)
    seen = _inside(python, root) if python else {"error": "there is no environment yet"}
    return [
        _environment(root, python),
        *_packages(seen),
        *_gpus(_driver(), seen, tried=python is not None),
        *_targets(root / "kit" / "local" / "targets", seen),
    ]


def find_environment(root: Path) -> Path | None:
    """Return the Python that has the kit's packages: nox's environment, or this one; None if neither does."""
    own = root / ".nox" / f"kit-{sys.implementation.cache_tag}" / "bin" / "python"
    made = [own, *sorted((root / ".nox").glob("kit-*/bin/python"))]
    here = [Path(sys.executable)] if find_spec("torch") and find_spec("packaging") else []
    return next((path for path in [*here, *made] if path.is_file()), None)


def _environment(root: Path, python: Path | None) -> Finding:
    about = "environment"
    if python is None:
        told = "not made yet"
        fix = "nox makes it with the first session: some minutes, 3 GB of downloads"
        return Finding(about=about, level="note", told=told, fix=fix)
    folder = python.parents[1]
    stamps = {
        "made-from": lock_identity(root, ["requirements.lock"]),
        "own-wheels-from": own_wheels_identity(root),
    }
    facts = {"python": str(python)}
    if not (folder / "made-from").is_file():
        return Finding(about=about, level="ok", told=f"{python}, not made by nox", facts=facts)
    # nox hashes its own Python's version, too: with another one here, the stamps say nothing.
    if folder.name.endswith(sys.implementation.cache_tag or "") and (
        old := [name for name, identity in stamps.items() if not is_of(folder / name, identity)]
    ):
        what = "lock or Python" if "made-from" in old else "state of our wheels"
        told = f"{python} was made for another {what}"
        return Finding(
            about=about, level="note", told=told, fix="the next session makes it anew", facts=facts
        )
    return Finding(about=about, level="ok", told=str(python), facts=facts)


def _inside(python: Path, root: Path) -> dict[str, Any]:
    command = [str(python), "-m", "kit.local.doctor.inside"]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"error": f"it did not answer within {_SECONDS:.0f} s"}
    except (OSError, ValueError, IndexError):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"error": f"it ended: {last[0]}"}
    return found


def _packages(seen: Mapping[str, Any]) -> Iterator[Finding]:
    about = "versions against requirements.lock"
    if "error" in seen:
        yield Finding(about=about, level="note", told=f"not checked: {seen['error']}")
        return
    other, absent = seen["other"], seen["absent"]
    if not other and not absent:
        yield Finding(about=about, level="ok", told=f"all {seen['pins']} packages are those of the lock")
        return
    told = [f"{name} {has} instead of {wanted}" for name, (has, wanted) in list(other.items())[:_SHOWN]]
    told += [f"{name} is missing" for name in absent[:_SHOWN]]
    more = len(other) + len(absent) - len(told)
    yield Finding(
        about=about,
        level="problem",
        told="; ".join(told) + (f"; {more} more" if more > 0 else ""),
        fix="delete .nox/kit-* and run a session again, or install requirements.lock with --require-hashes",
        facts={"other": other, "absent": absent},
    )


def _driver() -> list[dict[str, str]]:
    """What the driver says of each GPU; empty without a driver."""
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    command = [program, _QUERY, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    keys = ("name", "driver", "memory", "free")
    lines = [line.split(", ") for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return [dict(zip(keys, line, strict=True)) for line in lines if len(line) == len(keys)]


def _gpus(driver: list[dict[str, str]], seen: Mapping[str, Any], *, tried: bool) -> Iterator[Finding]:
    gpus = seen.get("gpus", [])
    for number, gpu in enumerate(driver):
        told = f"{gpu['name']}, driver {gpu['driver']}, {gpu['memory']} of memory, {gpu['free']} free"
        facts = {**gpu, **(gpus[number] if number < len(gpus) else {})}
        if not tried or "error" in seen:
            told += f"; whether torch computes on it was not checked: {seen.get('error', '')}"
            yield Finding(about=f"GPU {number}", level="note", told=told, facts=facts)
        elif number >= len(gpus):
            built = f"torch {seen['torch']} for CUDA {seen['cuda'] or 'none'}"
            fix = "check CUDA_VISIBLE_DEVICES and the driver's version; --device cpu trains without it"
            yield Finding(
                about=f"GPU {number}",
                level="problem",
                told=f"{told}; {built} does not see it",
                fix=fix,
                facts=facts,
            )
        elif gpus[number]["kernel"] != "right":
            fix = "end other programs on it and try again; with wrong numbers the GPU is damaged"
            told += f"; a small kernel: {gpus[number]['kernel']}"
            yield Finding(about=f"GPU {number}", level="problem", told=told, fix=fix, facts=facts)
        else:
            told += f"; torch {seen['torch']} for CUDA {seen['cuda']} computes on it"
            yield Finding(about=f"GPU {number}", level="ok", told=told, facts=facts)
    if not driver:
        told = "no NVIDIA driver answers" + ("" if not gpus else f", and torch sees {len(gpus)}")
        fix = "the demo and all tiny forms train on the CPU; for published sizes nvidia-smi has to list a GPU"
        yield Finding(about="GPUs", level="note", told=told, fix=fix)


def _targets(folder: Path, seen: Mapping[str, Any]) -> Iterator[Finding]:
    """How old the newest description of Kaggle's image is, and whether its torch is the lock's."""
    images = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    # An image with a month of its end is Kaggle's default no more.
    present = [image for image in images if image.get("since") and not image.get("until")]
    if not present:
        told = "no description is of its present one"
        yield Finding(about="Kaggle's image", level="note", told=told, fix="nox -s probe")
        return
    newest = max(present, key=lambda image: (image["since"], _date(image)))
    date, now = _date(newest), datetime.now(UTC)
    months = (now.year - int(date[:4])) * 12 + now.month - int(date[5:7])
    ours = seen.get("torch")
    told = f"{newest['name']} is of {date}: Python {newest['python']}, torch {newest['torch'] or 'unknown'}"
    told += f"; here torch {ours.partition('+')[0]}" if ours else ""
    old = months > _OLD_MONTHS
    yield Finding(
        about="Kaggle's image",
        level="note" if old else "ok",
        told=told + (f"; {months} months ago" if old else ""),
        fix="nox -s probe: Kaggle may have another image by now" if old else "",
        facts={"target": newest["name"], "date": date, "months": months},
    )


def _date(image: Mapping[str, Any]) -> str:
    """When the facts of an image were true, "2026-10" or "2026-11-29"."""
    return str(max(image.get("since") or "", (image.get("observed") or "")[:10]))
