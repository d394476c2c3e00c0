"""Find the weights of an ensemble's members in a bundle on this machine, to check them before rendering."""

from __future__ import annotations

import zipfile
from pathlib import Path

from kit import manifest as datasets
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.console import console
from kit.local.member_check import WeightsFile
from kit.manifest import Entry

_FIX = "run `bundle build` with this ensemble.json again"


def find_weights(ensemble: Ensemble, bundle: Path) -> dict[str, WeightsFile]:
    """Return where each member's weights lie, by the member's name.

    A bundle whose weights were uploaded and deleted here has manifests only. Then the members that cannot be
    checked are told on the screen.

    Args:
        ensemble: its members are looked up by the hash of their weights.
        bundle: folder with dataset folders.

    Raises:
        KitError: a manifest names another size than the ensemble.
    """
    found: dict[str, WeightsFile] = {}
    by_hash = {member.sha256: member for member in ensemble.members}
    for path in sorted([*bundle.glob("*/manifest.json"), *bundle.glob("manifest.json")]):
        for entry in datasets.load(path).files:
            member = by_hash.get(entry.sha256) if entry.role == "weights" else None
            if member is None:
                continue
            if entry.size != member.size:
                raise KitError(
                    f"the weights of {member.name} have {entry.size} bytes in the manifest, and "
                    f"{member.size} in the ensemble",
                    where=path,
                    fix=_FIX,
                )
            file = _file(path.parent, entry)
            if file is not None:
                found[member.name] = file
    if absent := [member.name for member in ensemble.members if member.name not in found]:
        console().print(
            f"not checked, because the bundle has no such files here: the weights of {', '.join(absent)}",
            style="yellow",
            markup=False,
        )
    return found


def _file(folder: Path, entry: Entry) -> WeightsFile | None:
    """Return the place of a manifest's entry; None if the file is not there."""
    if entry.archive is None:
        path = folder / entry.file
        return WeightsFile(path) if path.is_file() else None
    path = folder / entry.archive
    if not zipfile.is_zipfile(path):
        return None
    return WeightsFile(path, entry.file.partition("/")[2])
