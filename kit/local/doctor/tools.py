"""Programs that the kit starts, and what rehearsals need of the system; each is run before it is trusted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kit.errors import KitError
from kit.local.doctor.finding import Finding, Level
from kit.local.interpreters import PYTHONS, find_python
from kit.local.offline import sandbox
from kit.local.uv import find_uv

_SECONDS = 30.0


def look() -> list[Finding]:
    """Return a finding for each program and each right."""
    return [*_pythons(), *_programs(), _namespaces(), _fuse()]


def _pythons() -> Iterator[Finding]:
    found: dict[str, str] = {}
    for version in sorted(PYTHONS):
        try:
            found[version] = find_python([version])[1]
        except KitError:
            continue
    absent = [version for version in sorted(PYTHONS) if version not in found]
    told = ", ".join(found) or "none of them is installed"
    fix = f"uv python install {' '.join(absent)}: `gate` tries the bundle on each" if absent else ""
    yield Finding(
        about="Pythons for the gate",
        level="note" if absent else "ok",
        told=told + (f"; missing: {', '.join(absent)}" if found and absent else ""),
        fix=fix,
        facts={"found": found, "missing": absent},
    )


def _programs() -> Iterator[Finding]:
    try:
        yield tried("uv", [find_uv()], "note", "")
    except KitError as error:
        told = f"{error.problem}: it makes the environments"
        yield Finding(about="uv", level="problem", told=told, fix='python -m pip install "nox[uv]"')
    nox = shutil.which("nox")
    yield tried(
        "nox", [nox] if nox else [sys.executable, "-m", "nox"], "note", 'python -m pip install "nox[uv]"'
    )
    yield tried("git", ["git"], "note", "install git: lint, own sources of foreign.in and the tests use it")
    # The program alone says nothing of the engine that it asks.
    engine = ("version", "--format", "docker's engine {{.Server.Version}}")
    yield tried("docker", ["docker"], "ok", "needed only by `native -- --way docker`", ask=engine)


def tried(
    name: str, command: Sequence[str], absent: Level, fix: str, *, ask: Sequence[str] = ("--version",)
) -> Finding:
    """Run a program with the words that ask for its version."""
    words = [*command, *ask]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        told = "not installed" if isinstance(error, FileNotFoundError) else str(error)
        return Finding(about=name, level=absent, told=told, fix=fix)
    first, second = (done.stderr, done.stdout) if done.returncode else (done.stdout, done.stderr)
    said = (first.strip() or second.strip()).splitlines() or [""]
    if done.returncode:
        return Finding(about=name, level=absent, told=f"does not run: {said[-1]}", fix=fix)
    return Finding(about=name, level="ok", told=said[0], facts={"path": shutil.which(words[0]) or words[0]})


def _namespaces() -> Finding:
    if shutil.which("unshare") is None:
        told, works = "unshare is not installed", False
    else:
        with tempfile.TemporaryDirectory() as folder:
            works, told = sandbox.possible(Path(folder))
    if works:
        told = "unshare works: rehearsals have no network and a read-only input"
    fix = "install util-linux, or allow user namespaces (docker: --privileged); rehearsals need them"
    return Finding(about="namespaces", level="ok" if works else "note", told=told, fix="" if works else fix)


def _fuse() -> Finding:
    device = Path("/dev/fuse")
    works = device.exists() and os.access(device, os.R_OK | os.W_OK)
    told = "/dev/fuse can be opened: rehearsals can have slow mounts and read errors"
    lacking = "/dev/fuse is missing" if not device.exists() else "/dev/fuse cannot be opened"
    fix = (
        "load the module fuse, or start the container with --device /dev/fuse; only faults of mounts need it"
    )
    return Finding(
        about="FUSE",
        level="ok" if works else "note",
        told=told if works else lacking,
        fix="" if works else fix,
    )
