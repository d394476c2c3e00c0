"""Finds the files of our datasets, in every layout of /kaggle/input seen so far.

A walk over all of /kaggle/input took 144 s in public notes. So the search visits folders breadth first down
to a fixed depth, and it never lists the competition's images.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.artefacts import sha256_file
from kit.manifest import Manifest
from submission.runtime.inputs.archives import named_as_archive

DATASET_DEPTH = 7
"""datasets/<owner>/<slug>/versions/<n>/<folder>/<folder> is the deepest place at which a file was seen."""
MOST_FILES = 500_000
"""Files whose names are of nobody's manifest that are kept in mind, for the case that ours were renamed."""
_IMAGE_FOLDERS = frozenset({"train", "test", "train_images", "test_images", "train_annotations"})


@dataclass(frozen=True)
class File:
    """One file below the input folder."""

    path: Path
    size: int


@dataclass
class Datasets:
    """The files that may belong to our datasets.

    Attributes:
        roots: dataset name -> folder with exactly its manifest.json.
        files: those with names that manifests know, and archives, in a stable order.
        others: paths of all other files of the folders that may be datasets.
    """

    roots: dict[str, Path] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def rest(self) -> list[File]:
        """Return the other files with their sizes; on a mount this takes long if they are many."""
        return [file for path in self.others if (file := _file(Path(path))) is not None]


def find_datasets(root: Path, manifests: Sequence[Manifest], competition: Path | None) -> Datasets:
    """Index the folders that may hold our datasets.

    If a folder with the right manifest.json is found for every dataset, only these folders are indexed. If
    one is missing, all folders but the competition's are: files are found by content, so any place is good.
    Files with a name that we know come first.

    Args:
        root: /kaggle/input or a folder of such a shape.
        manifests: of the datasets.
        competition: its folder, which is not searched.
    """
    wanted = {manifest.sha256(): manifest.dataset for manifest in manifests}
    datasets = Datasets()
    # Look only at manifest.json in each folder, and stop at the last dataset: a mount is slow.
    for folder in (root, *folders_below(root, DATASET_DEPTH, skip=competition)):
        if name := wanted.get(_hash(folder / "manifest.json")):
            datasets.roots.setdefault(name, folder)
            if len(datasets.roots) == len(wanted):
                break
    if len(datasets.roots) == len(wanted):
        places: Iterable[Path] = datasets.roots.values()
    else:
        places = [root]
    # Names come with the listing of a folder, sizes cost a request each. 50,000 files of somebody else are
    # only looked at when a file of ours is not found under a name that Kaggle may have made of its own.
    known = {plain_name(name) for item in manifests for name in _names(item)}
    for place in places:
        for folder in (place, *folders_below(place, DATASET_DEPTH, skip=competition)):
            for entry in _entries(folder):
                if plain_name(entry.name) in known or named_as_archive(Path(entry.name)):
                    datasets.files += [file] if (file := _file(Path(entry.path))) is not None else []
                elif len(datasets.others) < MOST_FILES and not _is_folder(entry):
                    datasets.others.append(entry.path)
    return datasets


def plain_name(name: str) -> str:
    """Return what two renamings of a file name have in common: lower case letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _names(manifest: Manifest) -> Iterator[str]:
    yield "manifest.json"
    for entry in manifest.files:
        yield entry.name
        yield entry.archive or entry.name


def folders_below(root: Path, depth: int, skip: Path | None = None) -> Iterator[Path]:
    """Yield folders below `root`, breadth first, sorted by name. Folders of images are not entered."""
    # Breadth first: /a and /b come before /a/x. So the real dataset comes before a copy deep inside another
    # one. A link to a folder that was visited, or to one above the root, is not followed: without that, a
    # link to itself doubles the search at each level.
    real = os.path.realpath(root)
    level = [(root, real)]
    visited = {real}
    for _ in range(depth):
        following: list[tuple[Path, str]] = []
        for folder, behind in level:
            for entry in _entries(folder):
                path = Path(entry.path)
                if not _is_folder(entry) or entry.name in _IMAGE_FOLDERS or path == skip:
                    continue
                place = os.path.realpath(path) if entry.is_symlink() else f"{behind}/{entry.name}"
                if place not in visited and not real.startswith(place.rstrip("/") + "/"):
                    visited.add(place)
                    yield path
                    following.append((path, place))
        level = following


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or a target that may not be read
        return False


def _file(path: Path) -> File | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return File(path, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _hash(path: Path) -> str:
    """Return the hex sha256 of a file; "" if it is missing or cannot be read."""
    try:
        return sha256_file(path) if path.is_file() else ""
    except OSError:
        return ""


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []  # a folder that cannot be listed counts as empty
