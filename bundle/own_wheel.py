"""Turn one of our source packages (`bundle/packages/<name>`) into a pure Python wheel.

The packages are ordinary projects that any build tool builds from their pyproject.toml; this one adds that
the same sources always give the same bytes, and that nothing is left out or taken along unnoticed.
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
"""Of `[project]`: all of them must be there."""

_CARRIED = _NEEDED | {"optional-dependencies"}
"""Of `[project]`: no other may be there, since it would get lost."""


def build_wheel(source: Path, out: Path) -> Path:
    """Build a package's wheel; the same sources give the same bytes.

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
    """The `[project]` table."""
    try:
        project: dict[str, Any] = tomllib.loads(_read(path).decode()).get("project", {})
    except ValueError as error:
        raise KitError(f"not TOML: {error}", where=path) from error
    if absent := sorted(_NEEDED - project.keys()):
        raise KitError(f"[project] does not say {', '.join(absent)}", where=path, fix="add it")
    if surplus := sorted(project.keys() - _CARRIED):
        raise KitError(
            f"[project] says {', '.join(surplus)}, which our wheels do not carry",
            where=path,
            fix="leave it out, or teach bundle/own_wheel.py",
        )
    return project


def _modules(folder: Path, module: str) -> dict[str, bytes]:
    """Every file of the import package by its path in the wheel.

    Raises:
        KitError: the package is not there, or something else than Python lies in `folder`.
    """
    _read(folder / module / "__init__.py")
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if "__pycache__" in name.parts or path.is_dir():
            continue
        if name.parts[0] != module or (path.suffix != ".py" and path.name != "py.typed"):
            raise KitError(
                f"{name} is no file of the package {module}", where=folder, fix="move it out of src"
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
