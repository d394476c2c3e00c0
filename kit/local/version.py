"""Which version of the kit this is. Needs none of our dependencies."""

from __future__ import annotations

import platform
import tomllib
from importlib.resources import files
from pathlib import Path


def root() -> Path:
    """Return the folder of pyproject.toml and requirements.lock: the kit runs from its source tree."""
    return Path(str(files("kit"))).parent


def version() -> str:
    """Return "kaggle-offline-kit 0.1.0, Python 3.13.1"."""
    project = tomllib.loads((root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']} {project['version']}, Python {platform.python_version()}"
