"""Makes a virtual environment that holds what a Kaggle image has, and nothing of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json, sha256_json, write_json
from kit.errors import KitError
from kit.local import lockfile
from kit.local.console import console
from kit.local.locks import only_one
from kit.local.targets import Target, known
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv

OURS = ("kit", "submission", "mmcv", "mmdet", "cbnetv2", "vit_adapter")
"""Packages that no Kaggle image has. A rehearsal where one of them can be imported proves nothing."""
_RECORD = "image.json"
_PATIENCE = 3600.0
"""Seconds to wait for another process that makes the same image: it downloads torch."""


@dataclass(frozen=True)
class Image:
    """A simulated image.

    Attributes:
        target: name of the image it simulates.
        python: its interpreter.
        version: "3.13.1".
        packages: what it holds, name -> version.
    """

    target: str
    python: Path
    version: str
    packages: dict[str, str]


def choose_target(targets: Path | None, python: str) -> Target:
    """Return the newest known image with some Python, that of GPU sessions before that of CPU sessions.

    Args:
        targets: folder with one JSON per image; None: those of the kit.
        python: e.g. "3.13".

    Raises:
        KitError: no image has that Python, or a file does not describe an image.
    """
    found = [target for target in known(targets) if target.minor == python]
    if not found:
        raise KitError(
            f"no image with Python {python} is described",
            where=targets,
            fix="write a description, or give another folder with --targets",
        )
    return max(found, key=lambda target: (target.since, target.accelerator != "cpu", target.name))


def requirements(target: Target) -> list[str]:
    """Return what to install for a target: the names it surely has, with their versions where known."""
    has = sorted(target.packages().items())
    return [name if version is None else f"{name}=={version}" for name, version in has]


def constraints(lock: Path, target: Target) -> list[str]:
    """Return the lock's versions for what a target leaves open, so that the image is the same tomorrow.

    Args:
        lock: `requirements.lock`; it may be absent.
        target: the image.

    Raises:
        KitError: the file is not a lock.
    """
    if not lock.is_file():
        return []
    has = target.packages()
    locked = lockfile.select(lockfile.load(lock), target.environment(), where=lock)
    # For a target that says "torch 2.11.0, pillow unknown":
    #     the lock has torch 2.11.0, pillow 13.0.0   ->  pillow==13.0.0
    #     the lock has torch 2.12.0, pillow 13.0.0   ->  nothing
    # In the second case the lock is of another time than the image: versions that were chosen for torch 2.12
    # may not fit torch 2.11.
    if any(has.get(name) not in {None, pin.version} for name, pin in locked.items()):
        return []
    return [f"{name}=={pin.version}" for name, pin in sorted(locked.items()) if has.get(name) is None]


def make_image(target: Target, python: str, folder: Path, lock: Path, *, fresh: bool = False) -> Image:
    """Make the environment, or return the one that was made before for the same content.

    Args:
        target: the image to simulate.
        python: executable of its Python.
        folder: where environments are kept.
        lock: see `constraints`.
        fresh: make it again.

    Raises:
        KitError: uv is missing, or a package cannot be downloaded.
    """
    content = {
        "python": python,
        "requirements": requirements(target),
        "constraints": constraints(lock, target),
    }
    # The folder's name holds a hash of everything that decides its content. Another lock, another Python or a
    # new fact about the image gives another folder; the old one stays and can be used again.
    place = folder / f"{target.name}-{sha256_json(content)[:12]}"
    record = place / _RECORD
    # Of two rehearsals that start side by side, the second one takes what the first one makes.
    with only_one(
        place.with_name(f"{place.name}.lock"),
        doing="makes this simulated image",
        wait=_PATIENCE,
        told=console().print,
    ):
        if not fresh and record.is_file():
            image = _inspect(place, target.name)
            if read_json(record)["packages"] == image.packages:
                return image  # else somebody has changed it
        shutil.rmtree(place, ignore_errors=True)
        _install(place, python, content)
        image = _inspect(place, target.name)
        write_json(record, {**content, "packages": image.packages})
    return image


def _install(place: Path, python: str, content: Mapping[str, Any]) -> None:
    uv = find_uv()
    _run([uv, "venv", "--quiet", "--python", python, str(place)])
    fixed = place / "constraints.txt"
    fixed.write_text("\n".join(content["constraints"]) + "\n", encoding="utf-8")
    wanted = place / "requirements.txt"
    wanted.write_text("\n".join(content["requirements"]) + "\n", encoding="utf-8")
    # An image of Kaggle has its bytecode. Without it each process of predict.py would compile torch again.
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        str(place / "bin" / "python"),
    ]
    _run([*command, "--constraint", str(fixed), "--requirement", str(wanted)])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, env=tool_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KitError(
            f"the simulated image could not be made: {done.stderr.strip()[-800:]}",
            where=" ".join(command[:4]),
            fix="check the network, the proxy (HTTPS_PROXY) and the index; only the first time needs them",
        )


_INSPECT = """
import importlib.metadata, importlib.util, json, platform, sys
names = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
ours = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
print(json.dumps([platform.python_version(), dict(sorted(names.items())), ours]))
"""


def _inspect(place: Path, target: str) -> Image:
    import json

    python = place / "bin" / "python"
    # Without PYTHONPATH and the like, which could add our packages to the environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), "-c", _INSPECT, *OURS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
    )
    if done.returncode != 0:
        raise KitError(
            f"the Python of the simulated image does not start: {done.stderr[-400:]}",
            where=place,
            fix="run with --fresh to make the image again",
        )
    version, packages, ours = json.loads(done.stdout)
    if ours:
        raise KitError(
            f"the simulated image imports {', '.join(ours)}, which no Kaggle image has",
            where=place,
            fix="run with --fresh; if it stays, a .pth file of the interpreter points to the kit",
        )
    return Image(target, python, version, packages)
