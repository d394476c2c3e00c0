"""Turn one of our source packages (`bundle/packages/<name>`) into a pure Python wheel.

The packages are ordinary projects: any build tool can build them from their pyproject.toml. This builder also
makes sure that the same sources always give the same bytes, and that it leaves out or adds no file unnoticed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle import wheelfile
from bundle.wheelfile import Description
from kit.errors import KitError

_PACKAGES = Path(__file__).parent / "packages"

SOURCES = {"cbnetv2": _PACKAGES / "cbnetv2", "vit-adapter": _PACKAGES / "vit_adapter"}
"""Normalised distribution name -> its source package, a folder with the name of the module."""

_NEEDED = frozenset(
    {
        "dependencies",
        "description",
        "license",
        "license-files",
        "name",
        "readme",
        "requires-python",
        "version",
    }
)
"""Keys of `[project]` that must be there."""

_CARRIED = _NEEDED | {"optional-dependencies"}
"""Keys of `[project]` that may be there. Any other key would get lost, so it is an error."""


def build_wheel(source: Path, out: Path) -> Path:
    """Build a package's wheel. The same sources give the same bytes.

    Args:
        source: folder with pyproject.toml, README and licence files, and `src/<module>`.
        out: folder for the wheel.

    Returns:
        The wheel, `<name>-<version>-py3-none-any.whl`.

    Raises:
        KitError: a file the package needs is missing, or there is one that belongs to no package;
            pyproject.toml says too little or more than a wheel built here would carry.
    """
    project = _project(source / "pyproject.toml")
    about = Description(
        name=project["name"],
        version=project["version"],
        summary=project["description"],
        licence=project["license"],
        licence_files={name: _read(source / name) for name in project["license-files"]},
        requires_python=project["requires-python"],
        requires=tuple(project["dependencies"]),
        extras=project.get("optional-dependencies", {}),
        readme=_read(source / project["readme"]).decode(),
    )
    return wheelfile.build(out, about, _modules(source / "src", about.name.replace("-", "_")))


def _project(path: Path) -> Mapping[str, Any]:
    """Return the `[project]` table."""
    try:
        project: dict[str, Any] = tomllib.loads(_read(path).decode()).get("project", {})
    except ValueError as error:
        raise KitError(f"this file is not TOML: {error}", where=path, fix="correct the line") from error
    if absent := sorted(_NEEDED - project.keys()):
        raise KitError(f"[project] has no {', '.join(absent)}", where=path, fix="add it")
    if surplus := sorted(project.keys() - _CARRIED):
        raise KitError(
            f"[project] has {', '.join(surplus)}, which our wheels do not contain",
            where=path,
            fix="remove it, or teach bundle/own_wheel.py to write it",
        )
    return project


def _modules(folder: Path, module: str) -> dict[str, bytes]:
    """Return all files of the import package by their path in the wheel.

    Raises:
        KitError: the package is missing, or `folder` holds a file that is not Python.
    """
    _read(folder / module / "__init__.py")
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        # Refuse stray files instead of skipping them: a forgotten notebook or a weight file would otherwise
        # be missing or shipped, and nobody would notice.
        if "__pycache__" in name.parts or path.is_dir():
            continue
        if name.parts[0] != module or (path.suffix != ".py" and path.name != "py.typed"):
            raise KitError(
                f"{name} is not a file of the package {module}", where=folder, fix="move it out of src"
            )
        files[name.as_posix()] = _read(path)
    return files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KitError(
            f"{path.name} cannot be read: {error.strerror}",
            where=path,
            fix="the package is incomplete without it: restore it from the repository",
        ) from error
