"""Find the Pythons of this machine: those on PATH, pyenv's and uv's; run each before it is trusted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from kit.errors import KitError
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv

PYTHONS = ("3.13", "3.12", "3.11")
"""Newest first, because the image's next Python is what breaks bundles."""
_PROBE = "import sys; print(*sys.version_info[:2], sep='.', end=' '); print(sys.executable)"


def find_python(wanted: Sequence[str] = PYTHONS) -> tuple[str, str]:
    """Find an interpreter.

    Args:
        wanted: e.g. ("3.13", "3.12"); the first one that is installed is taken.

    Returns:
        Its version as written in `wanted`, and its executable.

    Raises:
        KitError: none is installed.
    """
    environment = tool_environment()
    listed = (_output(["pyenv", "versions", "--bare"], environment) or "").split()
    # "python3.13" may be a command of pyenv that fails, or of another version. So run each candidate and read
    # the version that it prints: "3.13 /usr/local/bin/python3.13". pyenv's commands work only for versions
    # that are named in PYENV_VERSION.
    if pyenv := [line for line in listed if ".".join(line.split(".")[:2]) in wanted]:
        environment["PYENV_VERSION"] = ":".join(pyenv)
    for version in wanted:
        for command in _candidates(version, environment):
            text = _output([command, "-c", _PROBE], environment) or ""
            if text.startswith(version + " "):
                return version, text.removeprefix(version + " ")
    raise KitError(
        f"no Python {', '.join(wanted)} is installed: neither on PATH, nor with pyenv or uv",
        fix=f"install one of them, for example with `uv python install {wanted[0]}`",
    )


def _candidates(version: str, environment: Mapping[str, str]) -> Iterator[str]:
    yield f"python{version}"
    if version == ".".join(map(str, sys.version_info[:2])):
        yield sys.executable
    try:
        uv = find_uv()
    except KitError:
        return
    find = [uv, "python", "find", "--no-project", "--no-python-downloads", version]
    if found := _output(find, environment):
        yield found


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
