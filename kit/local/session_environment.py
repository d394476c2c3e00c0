"""The environments of nox's sessions, made from locks when they are needed.

nox runs in an interpreter of its own, without the kit's dependencies: this needs the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from kit.local.environment_stamps import is_of, lock_identity, own_wheels_identity
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv

OWN_WHEELS = ("mmcv", "cbnetv2", "vit-adapter")
"""What `python -m bundle wheel` builds."""
# With its bytecode: where PYTHONDONTWRITEBYTECODE is set, as in many containers, every process would compile
# the sources of torch and of all that it imports, which takes longer than to import them.
_INSTALL = ("pip", "install", "--quiet", "--compile-bytecode", "--python")


class Session(Protocol):
    """What is asked of nox's session."""

    def run(self, *arguments: str, **options: Any) -> Any:
        """Run a command."""


def with_own_wheels(session: Session, root: Path, *, peers: bool = False) -> str:
    """Return the Python of the environment that all sessions share.

    It is made again when a lock or the Python changes; our own wheels alone are built and installed again
    when only their sources change.

    Args:
        session: runs the commands.
        root: the repository.
        peers: that of the benchmarks: it holds their peers, and finds all else in the shared one.
    """
    folder = locked(session, root, "kit", ["requirements.lock"])
    python = str(folder / "bin" / "python")
    ours_from, identity = folder / "own-wheels-from", own_wheels_identity(root)
    if not is_of(ours_from, identity):
        ours_from.unlink(missing_ok=True)  # what is installed from here on may be either version
        wheels = root / "build" / "local-wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        for name in OWN_WHEELS:
            build = ("-m", "bundle", "wheel", name, "--out", str(wheels))
            session.run(python, *build, external=True, silent=True)
        uv(session, *_INSTALL, python, "--no-deps", "--reinstall", *map(str, sorted(wheels.glob("*.whl"))))
        ours_from.write_text(identity)
    if not peers:
        return python
    return str(locked(session, root, "bench", ["requirements-bench.txt"], beside=folder) / "bin" / "python")


def locked(
    session: Session, root: Path, name: str, locks: Sequence[str], *, beside: Path | None = None
) -> Path:
    """Return the folder of an environment with what some locks pin, and nothing else.

    Args:
        session: runs the commands.
        root: the repository, where the locks are and `.nox` lies.
        name: of the environment.
        locks: file names.
        beside: an environment in which the new one finds what its own locks do not pin.
    """
    folder = root / ".nox" / f"{name}-{sys.implementation.cache_tag}"
    # Each stamp is written after its step: a step that was killed has none and runs again. Our own wheels
    # have another one, because the locked packages take minutes and our own wheels change daily.
    made_from, identity = folder / "made-from", lock_identity(root, locks)
    if not is_of(made_from, identity):
        shutil.rmtree(folder, ignore_errors=True)
        uv(session, "venv", "--quiet", "--python", sys.executable, str(folder))
        listed = (part for lock in locks for part in ("-r", lock))
        alone = () if beside is None else ("--no-deps",)
        python = str(folder / "bin" / "python")
        uv(session, *_INSTALL, python, *alone, "--require-hashes", *listed)
        if beside is not None:
            packages = "lib", "python{}.{}".format(*sys.version_info), "site-packages"
            # `addsitedir`, not the folder alone: its own .pth files count, too.
            line = f"import site; site.addsitedir({str(beside.joinpath(*packages))!r})\n"
            (folder.joinpath(*packages) / "beside.pth").write_text(line)
        made_from.write_text(identity)
    return folder


def uv(session: Session, *arguments: str) -> None:
    """Run uv, untouched by the variables of the user's shell."""
    # nox adds `env` to the variables of the user's shell; None removes one. Without this, uv would follow the
    # user's constraints, or install into the environment that is active there.
    kept = tool_environment()
    removed: dict[str, str | None] = dict.fromkeys(os.environ.keys() - kept.keys())
    session.run(find_uv(), *arguments, external=True, env={**removed, **kept, "UV_NO_PROGRESS": "1"})


def pytest_processes() -> tuple[str, ...]:
    """Return pytest's arguments for as many processes as this machine serves well.

    Two more than there are cores: tests wait for servers, pauses and processes that they kill. On two cores a
    slow part of the tests takes 340 s with four processes and 423 s with three. At most eight, because each
    takes 2 GB.
    """
    return "-n", str(min((os.cpu_count() or 1) + 2, 8)), "--dist", "worksteal"


def lock_others(session: Session, root: Path) -> None:
    """Lock what the benchmarks' peers need beyond requirements.lock, and what builds docs/ into a site."""
    how = (
        *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url"),
        *("--no-emit-find-links", "--custom-compile-command", "nox -s lock"),
    )
    lines = (root / "requirements.lock").read_text().splitlines()
    known = sorted({line.split("==")[0] for line in lines if line[:1].isalnum()})
    # Two files that are installed together with --require-hashes may not list a package twice.
    beside = ("--constraints", "requirements.lock", *(f"--no-emit-package={name}" for name in known))
    for name, others in (("bench", beside), ("docs", ())):
        files = (f"requirements-{name}.in", "--output-file", f"requirements-{name}.txt")
        uv(session, "pip", "compile", "--quiet", *files, *how, *others)
