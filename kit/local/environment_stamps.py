"""What an environment of the sessions was made from, as a hash: it is made again when that changes.

Needs none of our dependencies: nox runs in an interpreter of its own.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

_BUILDERS = ("mmcv_wheel", "own_wheel", "sdist", "wheelfile")
"""Modules of `bundle` that build our own wheels."""


def is_of(stamp: Path, identity: str) -> bool:
    """Return whether a step has written this hash into its stamp, the last thing that it does."""
    return stamp.is_file() and stamp.read_text() == identity


def lock_identity(root: Path, locks: Iterable[str]) -> str:
    """Return a hash of what an environment is made from, without our own wheels.

    Args:
        root: of the repository.
        locks: names of its files with pinned versions.
    """
    contents = b"".join((root / name).read_bytes() for name in locks)
    return hashlib.sha256(sys.version.encode() + contents).hexdigest()


def own_wheels_identity(root: Path) -> str:
    """Return a hash of our own wheels' sources: the packages without tests, and the code that builds them.

    Args:
        root: of the repository.
    """
    packages = root / "bundle" / "packages"
    names = [path.relative_to(root) for path in packages.rglob("*") if path.is_file()]
    names = [name for name in names if not {"__pycache__", "tests"} & set(name.parts)]
    # Name and size go in with the bytes: a module that moves, or bytes that go from one file to the next,
    # give another hash.
    digest = hashlib.sha256()
    for name in [*sorted(names), *(Path("bundle", f"{builder}.py") for builder in _BUILDERS)]:
        content = (root / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
