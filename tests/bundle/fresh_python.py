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


def locked(names, version, *, without=()):
    """A requirements file with hashes: the lock's pins of some distributions and of what they lead to.

    Left out are the pins ("torch==2.11.0") that are in `without`.
    """
    pins = select(load(ROOT / "requirements.lock"), marker_environment(version))
    reached, waiting = set(), set(names)
    while waiting:
        reached |= waiting
        waiting = {pin.name for pin in pins.values() if reached & set(pin.via)} - reached
    chosen = [pins[name] for name in sorted(reached) if f"{name}=={pins[name].version}" not in without]
    return render(chosen, command="a test", pythons=[version])


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


def layer_over(below, folder, *, version, names=(), wheels=()):
    """A small environment over another one: what it has itself comes first, the rest is imported from below.

    torch takes seconds to link and, because its bytecode lies beside it, many more at its first import.

    Args:
        below: interpreter that `environment_for` returned.
        folder: where to make it.
        version: "3.13".
        names: normalised names of distributions, which come in their locked versions.
        wheels: ours.

    Returns:
        The interpreter.
    """
    succeed("venv", "--quiet", "--python", below, folder)
    inside = folder / "bin" / "python"
    [under], [over] = ([*root.glob("lib/python*/site-packages")] for root in (below.parents[1], folder))
    (over / "below.pth").write_text(f"{under}\n")
    there = (below.parents[1] / "requirements.txt").read_text().split()
    (folder / "requirements.txt").write_text(locked(names, version, without=there))
    install = ("pip", "install", "--quiet", "--no-deps", "--python", inside)
    if names:
        succeed(*install, "--require-hashes", "-r", folder / "requirements.txt")
    if wheels:
        succeed(*install, "--no-index", *wheels)
    return inside


def succeed(*arguments):
    done = uv(*arguments)
    assert done.returncode == 0, done.stderr
