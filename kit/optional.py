"""Modules that a script carries only if its competition needs them.

An import statement, or a text that is a module's full name, makes the renderer embed a module in every
predict.py (`submission.modules`). Most competitions need no DICOM, no Parquet and no gateway. The modules for
these are imported here, by the texts of package and name, when they are needed. For the scripts that need
them, `submission.render.entry_points` names them.

    optional_module(__package__, "rules")      in kit/competitions: the module kit.competitions.rules

`train_local.jobs.source_hash` looks for these calls: what they import decides results as any import does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional_module(package: str, name: str) -> Any:
    """Return a module of a package, imported now.

    Args:
        package: the caller's own `__package__`.
        name: of the module in the package, e.g. "rules" or "server.entry".

    Raises:
        ModuleNotFoundError: this script does not carry it.
    """
    return import_module(f"{package}.{name}")
