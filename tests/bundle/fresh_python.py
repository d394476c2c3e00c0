"""Virtual environments of this machine's Pythons, linked from uv's cache and kept under `build`."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from bundle import wheelinfo
from kit.local.lockfile import load, render, select
from kit.local.targets import marker_environment
from kit.local.uv import find_uv

ROOT = Path(__file__).parents[2]


def uv(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    if shutil.which("pyenv"):
        # pyenv's shims answer only for versions that are named.
        versions = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True)
        environment["PYENV_VERSION"] = ":".join(versions.stdout.split())
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    return subprocess.run(
        [find_uv(), *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )


def interpreter(version):
    found = uv("python", "find", "--no-project", "--system", version)
    if found.returncode:
        pytest.skip(f"no Python {version} on this machine")
    return found.stdout.strip()


def locked(names, version):
    """A requirements file with hashes: the lock's pins of some distributions and of what they lead to."""
    pins = select(load(ROOT / "requirements.lock"), marker_environment(version))
    reached, waiting = set(), set(names)
    while waiting:
        reached |= waiting
        waiting = {pin.name for pin in pins.values() if reached & set(pin.via)} - reached
    return render([pins[name] for name in sorted(reached)], command="a test", pythons=[version])


def environment_for(version, wheels, *, name, more=()):
    """A Python with wheels of ours, the locked versions of what these ask for, and nothing else.

    It is kept as long as the lock and the needs stay; the wheels are installed anew each time.

    Args:
        version: "3.13".
        wheels: ours.
        name: start of the folder's name.
        more: normalised names of further distributions.

    Returns:
        The interpreter.
    """
    python = interpreter(version)
    infos = [wheelinfo.read(wheel) for wheel in wheels]
    needs = {
        canonicalize_name(item.name) for info in infos for item in info.needs(marker_environment(version))
    }
    requirements = locked(sorted({*needs, *more} - {info.name for info in infos}), version)
    identity = hashlib.sha256(f"{python}\n{requirements}".encode()).hexdigest()
    folder = ROOT / "build" / "test-environments" / f"{name}-{version}-{identity[:12]}"
    inside = folder / "bin" / "python"
    install = ("pip", "install", "--quiet", "--python", inside)
    if not (folder / "complete").is_file():
        succeed("venv", "--quiet", "--clear", "--python", python, folder)
        (folder / "requirements.txt").write_text(requirements)
        succeed(*install, "--require-hashes", "-r", folder / "requirements.txt")
        (folder / "complete").touch()
    ours = [option for info in infos for option in ("--reinstall-package", info.name)]
    succeed(*install, "--no-index", *ours, *wheels)
    return inside


def succeed(*arguments):
    done = uv(*arguments)
    assert done.returncode == 0, done.stderr
