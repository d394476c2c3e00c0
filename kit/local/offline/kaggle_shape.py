"""Lays files out as /kaggle/input has them: layout, changed names, unpacked archives, no held-out truth."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.kaggle_names import fate, mangle, without_archive_ending
from kit.local.place_file import place_file

if TYPE_CHECKING:
    from kit.competitions.competition import Competition  # needs numpy, which `--help` does without

Layout = Literal["new", "old"]
Archives = Literal["unpacked", "doubled", "packed"]
"""What happens to archives. Kaggle usually unpacks `wheels.zip` into `wheels/`; the top folder was seen twice
(`wheels/wheels/`), and archives were seen that stayed as they were."""

_NEVER_MOUNTED = frozenset({"dataset-metadata.json", "datapackage.json"})
_HELD_OUT = "solution."
"""Start of the name of the test images' truth, which Kaggle does not mount."""


def mount_competition(root: Path, data: Path, competition: Competition, *, layout: Layout = "new") -> Path:
    """Lay out a competition's folder as Kaggle mounts it.

    Args:
        root: stands for /kaggle/input.
        data: the competition's folder.
        competition: which one.
        layout: "new": competitions/<slug>; "old": <slug>.

    Returns:
        The mounted folder.
    """
    target = root / "competitions" / competition.slug if layout == "new" else root / competition.slug
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.name.startswith(_HELD_OUT):
            place_file(path, target / path.relative_to(data))
    return target


def mount_dataset(
    root: Path, folder: Path, *, layout: Layout = "new", archives: Archives = "unpacked"
) -> tuple[Path, list[str]]:
    """Lay out a dataset folder as Kaggle mounts it after the upload.

    Args:
        root: stands for /kaggle/input.
        folder: made by `bundle build`.
        layout: "new": datasets/<owner>/<slug>; "old": <slug>.
        archives: what happens to archives. Files such as .pth, which Kaggle unpacks sometimes, are unpacked
            unless archives stay packed.

    Returns:
        The mounted folder, and a sentence for each file that Kaggle would change.

    Raises:
        KitError: Kaggle would refuse the whole dataset because of a file's name.
    """
    owner, slug = _identity(folder)
    target = root / "datasets" / owner / slug if layout == "new" else root / slug
    changes: list[str] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in _NEVER_MOUNTED:
            continue
        # The name decides what Kaggle does. A file that is named like an archive but is none stays as it is.
        name = path.relative_to(folder).as_posix()
        mounted = target / mangle(name)
        if path.is_symlink():
            changes.append(f"{name}: a link, mounted as an empty file")
            mounted.parent.mkdir(parents=True, exist_ok=True)
            mounted.write_bytes(b"")
            continue
        match fate(name):
            case "unpacked" | "perhaps unpacked" if archives != "packed" and _unpack(path, mounted, archives):
                changes.append(f"{name}: unpacked")
            case "gunzipped":
                _gunzip(path, mounted.with_suffix(""))
                changes.append(f"{name}: gunzipped")
            case _:
                place_file(path, mounted)
                if mounted.relative_to(target).as_posix() != name:
                    changes.append(f"{name}: renamed to {mangle(name)}")
    return target, changes


def mount(
    root: Path,
    data: Path,
    datasets: Sequence[Path],
    competition: Competition,
    *,
    layout: Layout = "new",
    archives: Archives = "unpacked",
) -> list[str]:
    """Build the whole input folder; return a sentence for each file that Kaggle would change."""
    mount_competition(root, data, competition, layout=layout)
    mounted = [mount_dataset(root, folder, layout=layout, archives=archives) for folder in datasets]
    return [change for _, changes in mounted for change in changes]


def _identity(folder: Path) -> tuple[str, str]:
    """Owner and name of a dataset."""
    path = folder / "dataset-metadata.json"
    if not path.is_file():
        return "owner", folder.name
    owner, _, slug = str(read_json(path).get("id", "")).partition("/")
    if not owner or not slug:
        raise KitError("the id is not of the form owner/slug", where=path, fix="run `bundle build` again")
    return owner, slug


def _unpack(path: Path, target: Path, archives: Archives) -> bool:
    """Unpack an archive into the folder that Kaggle makes for it; return False if it is no archive."""
    # wheels.zip with tool-1.0+cu1.whl  ->  "unpacked": wheels/tool-1.0cu1.whl
    #                                       "doubled":  wheels/wheels/tool-1.0cu1.whl
    folder = target.with_name(without_archive_ending(target.name))
    if archives == "doubled":
        folder /= folder.name
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)  # noqa: S202 - zipfile keeps members inside the folder
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    else:
        return False
    for inside in sorted(folder.rglob("*"), reverse=True):  # children before the folders they lie in
        if (mounted := mangle(inside.name)) != inside.name:
            inside.rename(inside.with_name(mounted))
    return True


def _gunzip(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream)
