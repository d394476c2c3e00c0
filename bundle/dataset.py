"""A dataset folder: files, `manifest.json`, `dataset-metadata.json`.

Killed at any point and run again it ends the same. Only files that a former manifest lists are ever removed;
whatever else lies in the folder is reported, not touched.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import manifest
from kit.artefacts import (
    atomic_file,
    canonical_json,
    remove_leftovers,
    sha256_bytes,
    sha256_file,
    write_bytes,
)
from kit.errors import KitError
from kit.local.kaggle_names import mangle
from kit.local.place_file import place_file
from kit.manifest import Entry, Manifest

METADATA = "dataset-metadata.json"
OWNER_PLACEHOLDER = "owner-not-set"
"""Stands for the Kaggle account until one is given; a bundle that carries it is for rehearsals only."""

LICENCES = frozenset(
    {
        "CC0-1.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "CC-BY-4.0", "CC-BY-NC-4.0",
        "GPL-2.0", "GPL-3.0", "LGPL-3.0", "AGPL-3.0", "apache-2.0", "ODbL-1.0", "DbCL-1.0", "PDDL",
        "ODC-BY-1.0", "FDL-1.3", "US-Government-Works", "copyright-authors", "other", "unknown",
    }
)  # fmt: skip
"""Licence names Kaggle's client takes (the CDLA family left out: its exact spellings are not known)."""

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_OWNER = re.compile(r"[A-Za-z0-9_-]+")
_TITLE_LENGTHS = range(6, 51)
_SUBTITLE_LENGTHS = range(20, 81)


@dataclass(frozen=True, kw_only=True)
class Content:
    """One file to be.

    Attributes:
        entry: of the manifest.
        source: its bytes, or a file that has them.
        link: share the source's disk space; only for sources that can be had again, since a change made in
            place in the dataset would change them too.
    """

    entry: Entry
    source: Path | bytes
    link: bool = False


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write` did: the manifest, files removed, and files that are not ours."""

    manifest: Manifest
    removed: list[str]
    foreign: list[str]


def describe(
    slug: str, *, owner: str, title: str, subtitle: str, licence: str, description: str
) -> dict[str, Any]:
    """A `dataset-metadata.json` that Kaggle's client and server take.

    Raises:
        KitError: a slug, title, subtitle, owner or licence they would refuse, the slug only after the upload.
    """
    if not _SLUG.fullmatch(slug) or len(slug) not in _TITLE_LENGTHS:
        raise KitError(
            f"not a dataset name for Kaggle: {slug!r} ({len(slug)} characters)",
            where="--prefix",
            fix="6 to 50 characters of a-z, 0-9 and single hyphens in the whole name",
        )
    if not _OWNER.fullmatch(owner):
        raise KitError(
            f"not a Kaggle user name: {owner!r}", where="--owner", fix="use the name in your profile's URL"
        )
    if len(title) not in _TITLE_LENGTHS:
        raise KitError(
            f"title of {len(title)} characters: {title!r}", fix="6 to 50 characters; shorten --prefix"
        )
    if len(subtitle) not in _SUBTITLE_LENGTHS:
        raise KitError(f"subtitle of {len(subtitle)} characters: {subtitle!r}", fix="20 to 80 characters")
    if licence not in LICENCES:
        raise KitError(
            f"Kaggle knows no licence {licence!r}",
            where="--licence",
            fix=f"one of {', '.join(sorted(LICENCES))}",
        )
    return {
        "id": f"{owner}/{slug}",
        "title": title,
        "subtitle": subtitle,
        "description": description,
        "licenses": [{"name": licence}],
        "keywords": [],
    }


def entry_of(source: Path | bytes, file: str, **more: Any) -> Entry:
    """The manifest entry of a file or of bytes; `more` goes to `Entry`."""
    if isinstance(source, bytes):
        return Entry(file=file, size=len(source), sha256=sha256_bytes(source), **more)
    return Entry(file=file, size=source.stat().st_size, sha256=sha256_file(source), **more)


def write(
    folder: Path, contents: Sequence[Content], metadata: Mapping[str, Any], *, targets: Sequence[str] = ()
) -> Written:
    """Bring a dataset folder to exactly these files.

    Order: new files, then removal of what a former manifest lists and this one does not, then the manifest.
    So a folder left by a kill still has the former manifest, and the next run removes what this one left.

    Args:
        folder: the dataset; its name is the dataset's.
        contents: its files.
        metadata: from `describe`.
        targets: Python tags its wheels are complete for.

    Raises:
        KitError: names Kaggle refuses, two files of one name, or a folder that cannot be written.
    """
    names = [content.entry.file for content in contents]
    if twice := {name for name in names if names.count(name) > 1}:
        raise KitError(f"two files named {', '.join(sorted(twice))} in one dataset", where=folder)
    mounted = [mangle(name) for name in names]
    if len(set(mounted)) < len(mounted):
        raise KitError("two files get the same name once Kaggle has stripped theirs", where=folder)
    made = Manifest(
        dataset=folder.name, files=[content.entry for content in contents], targets=sorted(set(targets))
    )
    former = _former_files(folder)
    remove_leftovers(folder)
    for content in contents:
        _place(folder / content.entry.file, content)
    removed = sorted(former - set(names))
    for name in removed:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise KitError(
                f"cannot remove {name}: {error.strerror}",
                where=folder,
                fix="make the folder writable, then run the command again",
            ) from error
    # The manifest last: with it the dataset is complete.
    for name, value in ((METADATA, dict(metadata)), (manifest.NAME, made.as_dict())):
        data = canonical_json(value).encode()
        _place(folder / name, Content(entry=entry_of(data, name, role="config"), source=data))
    ours = {*names, METADATA, manifest.NAME}
    present = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Written(manifest=made, removed=removed, foreign=sorted(set(present) - ours))


def _former_files(folder: Path) -> set[str]:
    """Files the present manifest lists; an unreadable one lists none."""
    try:
        listed = {entry.file for entry in manifest.load(folder / manifest.NAME).files}
    except KitError:
        return set()
    # A manifest is input like any other: it must not reach outside its folder.
    return {name for name in listed if not name.startswith("/") and ".." not in name.split("/")}


def _place(path: Path, content: Content) -> None:
    """Put one file in place, whole or not at all; left alone when it is there."""
    entry = content.entry
    if path.is_file() and path.stat().st_size == entry.size and sha256_file(path) == entry.sha256:
        return
    if isinstance(content.source, bytes):
        write_bytes(path, content.source)
        return
    if content.link:
        place_file(content.source, path)
        return
    with atomic_file(path) as temporary:
        shutil.copyfile(content.source, temporary)
