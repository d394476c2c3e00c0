"""A folder belongs to one job at a time; what another one left there is kept aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit.artefacts import read_json, remove_leftovers, write_json
from kit.errors import KitError
from kit.local.console import console

DONE, CLAIMED = "done.json", "run.json"
"""Names of the files that say what has been finished, and what has been begun, in a folder."""


def lock_of(folder: Path) -> Path:
    """Return the lock file of a job's folder. It lies beside the folder, which may be renamed."""
    return folder.with_name(f".{folder.name}.lock")


def record(folder: Path, identity: str, name: str) -> dict[str, Any] | None:
    """Read a JSON file of a job's folder; return None if it is absent, damaged or another job's."""
    path = folder / name
    if not path.is_file():
        return None
    try:
        value: dict[str, Any] = read_json(path)
    except KitError:
        return None
    return value if isinstance(value, dict) and value.get("identity") == identity else None


def claim(folder: Path, identity: str, config: dict[str, Any]) -> None:
    """Reserve a folder for a job; rename the folder first if it holds the results of another one.

    Args:
        folder: of the job.
        identity: of the job.
        config: what is done there, for those who look.

    Raises:
        KitError: the folder cannot be written.
    """
    path = folder / CLAIMED
    if path.is_file() and record(folder, identity, CLAIMED) is None:
        # Say the recipe's learning rate was changed after the run: "fold0" becomes "fold0.was-1a2b3c4d", the
        # new run gets an empty "fold0", and no result is lost.
        other = _other(path)
        aside = folder.with_name(f"{folder.name}.was-{other}")
        number = 1
        while aside.exists():
            number += 1
            aside = folder.with_name(f"{folder.name}.was-{other}-{number}")
        folder.rename(aside)
        console().print(
            f"{folder} held results of another config, data or source. They are kept as {aside.name}.",
            style="yellow",
            markup=False,
        )
    remove_leftovers(folder)
    write_json(path, {"identity": identity, **config})


def _other(path: Path) -> str:
    """The first letters of the identity that a folder was claimed for."""
    try:
        value = read_json(path)
    except KitError:
        value = None
    return str(value["identity"])[:8] if isinstance(value, dict) and "identity" in value else "unknown"
