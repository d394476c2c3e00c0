"""Find the weights of an ensemble's members in a bundle on this machine, to check them before rendering."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

from kit import manifest as datasets
from kit.ensemble import Ensemble, Member
from kit.errors import KitError
from kit.local.console import console
from kit.local.dataset_folders import folders_for
from kit.local.member_check import WeightsFile
from kit.manifest import Entry

_FIX = "run `bundle build` with this ensemble.json again"


def as_shipped(ensemble: Ensemble, bundle: Path) -> Ensemble:
    """Return the ensemble with the weights that its bundle holds, where these have another number format.

    A manifest says of such a file what it was made from: `run.cast.from` is the sha256 of the weights with
    which the ensemble was tuned.

    Args:
        ensemble: as it was tuned.
        bundle: folder with dataset folders.
    """
    entries = [
        entry
        for folder in folders_for(bundle, ensemble.competition)
        for entry in datasets.load(folder / datasets.NAME).files
        if entry.role == "weights"
    ]
    there = {entry.part_of or entry.sha256 for entry in entries}
    made = {(entry.run or {}).get("cast", {}).get("from"): entry for entry in entries}

    def shipped(member: Member) -> Member:
        entry = made.get(member.sha256)
        if member.sha256 in there or entry is None:
            return member
        # Each shard says how large the file is that all of them make.
        size = (entry.run or {}).get("shard", {}).get("whole", entry.size)
        return replace(member, sha256=entry.part_of or entry.sha256, size=size)

    return replace(ensemble, members=[shipped(member) for member in ensemble.members])


def find_weights(ensemble: Ensemble, bundle: Path) -> dict[str, WeightsFile]:
    """Return where each member's weights lie, by the member's name.

    A bundle whose weights were uploaded and deleted here has manifests only. Then the members that cannot be
    checked are told on the screen. Weights in shards were checked whole, before the bundle divided them.

    Args:
        ensemble: its members are looked up by the hash of their weights.
        bundle: folder with dataset folders.

    Raises:
        KitError: a manifest names another size than the ensemble.
    """
    found: dict[str, WeightsFile] = {}
    divided: set[str] = set()
    by_hash = {member.sha256: member for member in ensemble.members}
    for folder in folders_for(bundle, ensemble.competition):
        path = folder / datasets.NAME
        for entry in datasets.load(path).files:
            member = by_hash.get(entry.part_of or entry.sha256) if entry.role == "weights" else None
            if member is None:
                continue
            if entry.part_of is not None:
                divided.add(member.name)
                continue
            if entry.size != member.size:
                raise KitError(
                    f"the weights of {member.name} have {entry.size} bytes in the manifest, and "
                    f"{member.size} in the ensemble",
                    where=path,
                    fix=_FIX,
                )
            file = _file(folder, entry)
            if file is not None:
                found[member.name] = file
    if absent := [item.name for item in ensemble.members if item.name not in found.keys() | divided]:
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
