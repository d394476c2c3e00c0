"""Write a dataset folder: files, archives, `manifest.json`, `dataset-metadata.json`.

The command may be killed at any point; run again, it ends with the same bytes. It removes only files that a
former manifest lists. It reports other files in the folder and does not touch them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import dataset_metadata, stored_zip
from kit import manifest
from kit.artefacts import canonical_json, remove_leftovers, sha256_bytes, sha256_file, write_bytes
from kit.errors import KitError
from kit.local.kaggle_limits import TOP_LEVEL_ENTRIES
from kit.local.kaggle_names import fate, mangle
from kit.local.place_file import place_file
from kit.manifest import Entry, Manifest


@dataclass(frozen=True, kw_only=True)
class Content:
    """One file that the dataset gets.

    Attributes:
        entry: of the manifest; says too whether the file goes into an archive.
        source: its bytes, or a file that holds them. A file that does not go into an archive is hard-linked
            where that is possible, so nobody may change it in place later.
    """

    entry: Entry
    source: Path | bytes


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write` did.

    Attributes:
        manifest: of the dataset.
        removed: files and archives of a former manifest that are gone now.
        others: files in the folder that are not ours. An upload takes them along.
    """

    manifest: Manifest
    removed: list[str]
    others: list[str]


def entry_of(source: Path | bytes, file: str, **more: Any) -> Entry:
    """Return the manifest entry of a file or of bytes; `more` goes to `Entry`."""
    if isinstance(source, bytes):
        return Entry(file=file, size=len(source), sha256=sha256_bytes(source), **more)
    return Entry(file=file, size=source.stat().st_size, sha256=sha256_file(source), **more)


def write(
    folder: Path, contents: Sequence[Content], metadata: Mapping[str, Any], *, targets: Sequence[str] = ()
) -> Written:
    """Make a dataset folder hold exactly these files.

    The order matters for a run that is killed: first the new files, then the removal of what the former
    manifest lists and the new one does not, then the manifest. So an unfinished folder still has the former
    manifest, and the next run removes what this one did not get to.

    Args:
        folder: the dataset; its name is the dataset's.
        contents: its files.
        metadata: content of `dataset-metadata.json`.
        targets: Python tags for which its wheels are complete.

    Raises:
        KitError: Kaggle would refuse or change a file name, two files have one name, there are too many
            entries at the top, or the folder cannot be written.
    """
    _check_names(folder, [content.entry for content in contents])
    made = Manifest(
        dataset=folder.name, files=[content.entry for content in contents], targets=sorted(set(targets))
    )
    kept = _on_disk(made.files) | {dataset_metadata.NAME, manifest.NAME}
    former = _former_files(folder)
    remove_leftovers(folder)
    others = sorted(_present(folder) - kept - former)
    _check_count(folder, {*kept, *others} - {dataset_metadata.NAME})
    for content in contents:
        if content.entry.archive is None:
            _place(folder / content.entry.file, content)
    for name in sorted({content.entry.archive or "" for content in contents} - {""}):
        _place_archive(folder / name, [content for content in contents if content.entry.archive == name])
    removed = sorted(former - kept)
    for name in removed:
        _remove(folder / name)
    # The manifest last: it says that the dataset is complete.
    for name, value in ((dataset_metadata.NAME, dict(metadata)), (manifest.NAME, made.as_dict())):
        data = canonical_json(value).encode()
        _place(folder / name, Content(entry=entry_of(data, name, role="config"), source=data))
    return Written(manifest=made, removed=removed, others=others)


def others_in(folder: Path) -> list[str]:
    """Return the files of a dataset folder that its manifest does not list."""
    return sorted(_present(folder) - _former_files(folder) - {dataset_metadata.NAME, manifest.NAME})


def remove(folder: Path) -> None:
    """Remove what `write` has made of a folder, and the folder if nothing else is in it.

    Raises:
        KitError: a file cannot be removed.
    """
    # The manifest last: after a kill the rest is still known.
    for name in (*sorted(_former_files(folder)), dataset_metadata.NAME, manifest.NAME):
        _remove(folder / name)
    inside = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in (*inside, folder):
        if not any(path.iterdir()):
            path.rmdir()


def _on_disk(entries: Iterable[Entry]) -> set[str]:
    """Paths of the files and archives that hold some entries."""
    return {entry.archive or entry.file for entry in entries}


def _present(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _check_names(folder: Path, entries: Sequence[Entry]) -> None:
    """Refuse names under which Kaggle would not mount what was uploaded."""
    # The checks use full paths, "wheels-common.zip/a.whl": Kaggle refuses a name inside an archive too.
    names = [entry.file for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise KitError(
            f"the dataset would have two files named {', '.join(sorted(twice))}",
            where=folder,
            fix="rename one of them",
        )
    mounted = [mangle(name) for name in names]
    if len(set(mounted)) < len(mounted):
        raise KitError(
            "two files would have the same name after Kaggle has removed characters like '+' from it",
            where=folder,
            fix="rename one of them",
        )
    if changed := [entry.file for entry in entries if fate(entry.name) != "kept"]:
        raise KitError(
            f"Kaggle would unpack {', '.join(changed)}, so that predict.py could not find the content",
            where=folder,
            fix="choose another ending, e.g. .bin",
        )


def _check_count(folder: Path, names: Iterable[str]) -> None:
    """Refuse more top-level entries than Kaggle documents."""
    top = {name.partition("/")[0] for name in names}
    if len(top) > TOP_LEVEL_ENTRIES:
        raise KitError(
            f"the dataset would have {len(top)} files and folders at the top, "
            f"Kaggle asks for at most {TOP_LEVEL_ENTRIES}",
            where=folder,
            fix="move files that do not belong there out of the folder; put others into an archive",
        )


def _former_files(folder: Path) -> set[str]:
    """Files and archives of the present manifest; none if it cannot be read."""
    try:
        listed = _on_disk(manifest.load(folder / manifest.NAME).files)
    except KitError:
        return set()
    # A manifest is input like any other: it must not reach outside its folder.
    return {name for name in listed if not name.startswith("/") and ".." not in name.split("/")}


def _place(path: Path, content: Content) -> None:
    """Put one file in place; leave it alone if it is there already."""
    entry, source = content.entry, content.source
    if path.is_file():
        if isinstance(source, Path) and path.samefile(source):
            return  # a hard link of the file that was checked: no need to read gigabytes again
        if path.stat().st_size == entry.size and sha256_file(path) == entry.sha256:
            return
    if isinstance(source, bytes):
        write_bytes(path, source)
    else:
        place_file(source, path)


def _place_archive(path: Path, contents: Sequence[Content]) -> None:
    """Put one archive in place; leave it alone if it is there with all its files."""
    # Sorted by name: the order of `contents` must not change the archive's bytes.
    ordered = sorted(contents, key=lambda content: content.entry.file)
    inside = [content.entry.file.partition("/")[2] for content in ordered]
    entries = [(content.entry.size, content.entry.sha256) for content in ordered]
    if not stored_zip.holds(path, dict(zip(inside, entries, strict=True))):
        stored_zip.write(path, dict(zip(inside, [content.source for content in ordered], strict=True)))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise KitError(
            f"{path.name} cannot be removed: {error.strerror}",
            where=path.parent,
            fix="make the folder writable, then run the command again",
        ) from error
