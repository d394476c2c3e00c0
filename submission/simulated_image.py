"""A virtual environment that holds what a Kaggle image has at hand, and nothing of ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json, sha256_json, write_json
from kit.errors import KitError

PYTHONS = ("3.13", "3.12", "3.11")
"""Newest first: the image's next Python is what breaks bundles."""
OURS = ("kit", "submission", "mmcv", "mmdet", "cbnetv2", "vit_adapter")
"""What no Kaggle image has; an environment in which one imports proves nothing."""
_RECORD = "image.json"
_PROBE = "import sys; print(*sys.version_info[:2], sep='.', end=' '); print(sys.executable)"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(\s*;[^\\]*)?", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """A simulated image.

    Attributes:
        target: name of the description it follows.
        python: its interpreter.
        version: "3.13.1".
        packages: what it holds, name -> version.
    """

    target: str
    python: Path
    version: str
    packages: dict[str, str]


def find_python(wanted: Sequence[str] = PYTHONS) -> tuple[str, str]:
    """The newest interpreter of some versions.

    Args:
        wanted: e.g. ("3.13", "3.12"), the first found is taken.

    Returns:
        Its version as wanted, and its executable.

    Raises:
        KitError: none is installed.
    """
    environment = dict(os.environ)
    if pyenv := _pyenv_versions():
        environment["PYENV_VERSION"] = ":".join(pyenv)  # its shims refuse versions that are not switched on
    own = ".".join(map(str, sys.version_info[:2]))
    for version in wanted:
        for command in (f"python{version}", *([sys.executable] if version == own else [])):
            text = _output([command, "-c", _PROBE], environment) or ""
            if text.startswith(version + " "):
                return version, text.removeprefix(version + " ")
    raise KitError(
        f"no Python {', '.join(wanted)} is installed",
        fix="install one of them, e.g. with `uv python install 3.13`",
    )


def _pyenv_versions() -> list[str]:
    lines = (_output(["pyenv", "versions", "--bare"], os.environ) or "").split()
    return [line for line in lines if ".".join(line.split(".")[:2]) in PYTHONS]


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def choose_target(targets: Path, python: str) -> dict[str, Any]:
    """The newest description of an image with some Python.

    Args:
        targets: folder with one JSON an image.
        python: e.g. "3.13".

    Raises:
        KitError: none has that Python.
    """
    tag = "cp" + python.replace(".", "")
    found = [value for path in sorted(targets.glob("*.json")) if (value := read_json(path)).get("tag") == tag]
    if not found:
        raise KitError(
            f"no description of an image with {tag}", where=targets, fix="write one, or give --targets"
        )
    return max(found, key=lambda value: (value["since"], value["name"]))


def requirements(target: Mapping[str, Any]) -> list[str]:
    """What to install for a target: the names it surely has, at their versions where they are known."""
    has: Mapping[str, str | None] = target["image_has"]
    return [name if version is None else f"{name}=={version}" for name, version in sorted(has.items())]


def pins(lock: Path, has: Mapping[str, str | None]) -> list[str]:
    """Versions of a lock file for what a target leaves open, so that the image is the same tomorrow.

    Args:
        lock: of pip-tools.
        has: what the target has, name -> version or None.

    Returns:
        Constraints; none without a lock, nor where the target is of another time than the lock: versions
        chosen for another torch exclude the target's.
    """
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    locked = _PIN.findall(text)
    fixed = {name: version for name, version in has.items() if version is not None}
    if any(fixed.get(name.lower(), version) != version for name, version, _ in locked):
        return []
    left = [item for item in locked if item[0].lower() not in fixed]
    return [f"{name}=={version}{marker.rstrip()}" for name, version, marker in left]


def make_image(
    target: Mapping[str, Any], python: str, folder: Path, lock: Path, *, fresh: bool = False
) -> Image:
    """Make the environment, or take the one that was made for the same content.

    Args:
        target: description of the image.
        python: executable of its Python.
        folder: where environments are kept.
        lock: see `pins`.
        fresh: make it again.

    Raises:
        KitError: uv is missing, or a package cannot be had.
    """
    wanted = requirements(target)
    content = {"python": python, "requirements": wanted, "pins": pins(lock, target["image_has"])}
    place = folder / f"{target['name']}-{sha256_json(content)[:12]}"
    record = place / _RECORD
    if fresh or not record.is_file():
        shutil.rmtree(place, ignore_errors=True)
        _install(place, python, content)
    image = _inspect(place, str(target["name"]))
    if fresh or not record.is_file():
        write_json(record, {**content, "packages": image.packages})
    elif read_json(record)["packages"] != image.packages:
        return make_image(target, python, folder, lock, fresh=True)  # somebody has changed it since
    return image


def _install(place: Path, python: str, content: Mapping[str, Any]) -> None:
    uv = _uv()
    _run([uv, "venv", "--quiet", "--python", python, str(place)])
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(content["pins"]) + "\n", encoding="utf-8")
    wanted = place / "requirements.txt"
    wanted.write_text("\n".join(content["requirements"]) + "\n", encoding="utf-8")
    command = [uv, "pip", "install", "--quiet", "--python", str(place / "bin" / "python")]
    _run([*command, "--constraint", str(constraints), "--requirement", str(wanted)])


def _uv() -> str:
    try:
        from uv import find_uv_bin
    except ImportError:
        found = shutil.which("uv")
    else:
        found = find_uv_bin()
    if found is None:
        raise KitError("uv is not installed", fix="python -m pip install uv")
    return str(found)


def _run(command: Sequence[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KitError(
            f"the simulated image could not be made: {done.stderr.strip()[-800:]}",
            where=" ".join(command[:4]),
            fix="check the package index; the first time this needs the network",
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
            f"the simulated image does not start: {done.stderr[-400:]}", where=place, fix="use --fresh"
        )
    version, packages, ours = json.loads(done.stdout)
    if ours:
        raise KitError(
            f"the simulated image imports {', '.join(ours)}, which no Kaggle image has",
            where=place,
            fix="run with --fresh; if it stays, a .pth file of the interpreter points to the kit",
        )
    return Image(target, python, version, packages)
