"""A folder shaped like /kaggle/input: mount layout, mangled names, unpacked archives, no held-out truth."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from kit.artefacts import read_json
from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.kaggle_names import fate, mangle

Layout = Literal["new", "old"]
_NEVER_MOUNTED = frozenset({"dataset-metadata.json", "datapackage.json"})
_HELD_OUT = "solution."
"""Truth of the test images, which Kaggle keeps to itself."""


def mount_competition(root: Path, data: Path, competition: Competition, layout: Layout = "new") -> Path:
    """Lay a competition's folder out as Kaggle mounts it.

    Args:
        root: stands for /kaggle/input.
        data: the competition's folder.
        competition: which one.
        layout: "new": competitions/<slug>; "old": <slug>.
    """
    target = root / "competitions" / competition.slug if layout == "new" else root / competition.slug
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.name.startswith(_HELD_OUT):
            _place(path, target / path.relative_to(data))
    return target


def mount_dataset(root: Path, folder: Path, layout: Layout = "new") -> tuple[Path, list[str]]:
    """Lay a dataset folder out as Kaggle mounts it after the upload.

    What Kaggle sometimes unpacks is unpacked here.

    Args:
        root: stands for /kaggle/input.
        folder: made by `bundle build`.
        layout: "new": datasets/<owner>/<slug>; "old": <slug>.

    Returns:
        The mounted folder and what happened to which file.

    Raises:
        KitError: a name for which Kaggle fails the whole dataset.
    """
    owner, slug = _identity(folder)
    target = root / "datasets" / owner / slug if layout == "new" else root / slug
    changes: list[str] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in _NEVER_MOUNTED:
            continue
        name = path.relative_to(folder).as_posix()
        mounted = mangle(name)
        if path.is_symlink():
            changes.append(f"{name}: a link, mounted as an empty file")
            (target / mounted).parent.mkdir(parents=True, exist_ok=True)
            (target / mounted).write_bytes(b"")
            continue
        match fate(name):
            case "unpacked" | "perhaps unpacked" if _unpack(path, target / mounted):
                changes.append(f"{name}: unpacked")
            case "gunzipped":
                _gunzip(path, (target / mounted).with_suffix(""))
                changes.append(f"{name}: gunzipped")
            case _:
                _place(path, target / mounted)
                if mounted != name:
                    changes.append(f"{name}: renamed to {mounted}")
    return target, changes


def mount(
    root: Path, data: Path, datasets: Sequence[Path], competition: Competition, layout: Layout = "new"
) -> list[str]:
    """Build the whole input folder; returns what Kaggle did to which file."""
    mount_competition(root, data, competition, layout)
    return [change for folder in datasets for change in mount_dataset(root, folder, layout)[1]]


def _identity(folder: Path) -> tuple[str, str]:
    path = folder / "dataset-metadata.json"
    if not path.is_file():
        return "owner", folder.name
    owner, _, slug = str(read_json(path).get("id", "")).partition("/")
    if not owner or not slug:
        raise KitError("the id is not of the form owner/slug", where=path, fix="run `bundle build` again")
    return owner, slug


def _place(source: Path, target: Path) -> None:
    """Hard link, or copy across disks: slides are large."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # of a file whose name came out the same; writing to it would change both
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _unpack(path: Path, target: Path) -> bool:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)  # noqa: S202 - zipfile keeps members inside target
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            archive.extractall(target, filter="data")
    else:
        return False
    return True


def _gunzip(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream)
