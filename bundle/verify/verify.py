"""Check a dataset against its manifest.json: every file by size and sha256, wherever it lies now.

    python verify.py [DIR] [--restore OUT] [--json]

DIR is the folder that holds manifest.json, by default the one that this file lies in. Kaggle renames files,
unpacks archives and sometimes doubles their folder. So files are found by their content, in the open or
inside zip and tar archives; a changed name or place is no fault. An archive in an archive is not read: what
is only there counts as missing, and the message says so. Files that the manifest does not list are named,
and are no fault. --restore writes the listed ones to OUT under the names that manifest.json and pylock.toml
give them. It needs Python 3.8 or later and nothing else.

Exit code: 0 if every file is there, 1 if one is missing or damaged, 2 if the check could not be made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, Callable, Iterator, NamedTuple, Sequence  # noqa: UP035 - Python 3.8 imports them

MANIFEST = "manifest.json"
BESIDE = (MANIFEST, "dataset-metadata.json", "datapackage.json")
"""Files that no manifest lists: itself, and what Kaggle's client and Kaggle add."""
SCHEMA = 1
BLOCK = 1 << 20
SHOWN = 20
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
UNREADABLE = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError),
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error),
)
"""What a damaged archive raises."""


class CheckError(Exception):
    """The check cannot be made; the text says what to do."""


class Place(NamedTuple):
    """Where bytes lie: a file, or a member of an archive (`inside` is its name there)."""

    path: Path
    size: int
    inside: str | None = None

    def told(self) -> str:
        """Return the place as text."""
        return str(self.path) if self.inside is None else f"{self.path}: {self.inside}"

    def plain_name(self) -> str:
        """Return the file's name as `plain` makes it."""
        return plain(self.inside or self.path.name)

    def pour(self, write: Callable[[bytes], Any]) -> None:
        """Give the content to a function, block by block."""
        if self.inside is None:
            with self.path.open("rb") as stream:
                _pour(stream, write)
        elif zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as archive, archive.open(self.inside) as stream:
                _pour(stream, write)
        else:
            with tarfile.open(self.path) as tar:
                member = tar.extractfile(self.inside)
                if member is not None:
                    _pour(member, write)

    def sha256(self) -> str:
        """Return the hex sha256 of the content, or why it cannot be read."""
        digest = hashlib.sha256()
        try:
            self.pour(digest.update)
        except UNREADABLE as error:
            return f"unreadable ({error})"
        return digest.hexdigest()


def _pour(stream: IO[bytes], write: Callable[[bytes], Any]) -> None:
    while True:
        block = stream.read(BLOCK)
        if not block:
            return
        write(block)


def plain(name: str) -> str:
    """Return a name without folders and what Kaggle removes: "a/x-1.0+cu1.whl" gives "x-1.0cu1.whl"."""
    return re.sub(r"[^a-z0-9._-]", "", PurePosixPath(name).name.lower())


def members(path: Path) -> Iterator[Place]:
    """Yield the files inside an archive; none if it is damaged or no archive."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                infos = [item for item in archive.infolist() if not item.is_dir()]
            yield from (Place(path, item.file_size, item.filename) for item in infos)
        else:
            with tarfile.open(path) as tar:
                files = [item for item in tar if item.isfile()]
            yield from (Place(path, item.size, item.name) for item in files)
    except UNREADABLE:
        return


class Search:
    """Finds contents below a folder; nothing is hashed twice."""

    def __init__(self, folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self.places = [Place(path, path.stat().st_size) for path in files]
        self.archives: set[Path] = set()
        for path in files:
            if path.name.lower().endswith(ARCHIVES):
                inside = list(members(path))
                self.places += inside
                self.archives.update({path} if inside else ())
        self.nested = [
            place for place in self.places if place.inside and place.inside.lower().endswith(ARCHIVES)
        ]
        self._hashes: dict[Place, str] = {}
        self._blamed: set[Place] = set()

    def find(self, file: str, size: int, sha256: str) -> tuple[Place | None, str]:
        """Return the place of a content, or None and what was found in its stead."""
        name = plain(file)
        fitting = [place for place in self.places if place.size == size]
        for place in sorted(fitting, key=lambda place: place.plain_name() != name):
            if self._sha256(place) == sha256:
                return place, place.told()
        for place in self.places:
            if place.plain_name() == name:
                self._blamed.add(place)
                return None, f"{place.told()} has {place.size} bytes, sha256 {self._sha256(place)}"
        if self.nested:
            return None, f"perhaps in {self.nested[0].told()}, an archive in an archive, which is not read"
        return None, "no file of this content or name"

    def surplus(self, parts: Sequence[dict[str, Any]]) -> list[Place]:
        """Return the places whose content is that of none of these files, and that `find` did not blame."""
        listed = {(part["size"], part["sha256"]) for part in parts}
        sizes = {size for size, _ in listed}
        found = []
        for place in self.places:
            apart = place.inside is None and (place.path in self.archives or place.path.name in BESIDE)
            if apart or place in self._blamed:
                continue
            if place.size not in sizes or (place.size, self._sha256(place)) not in listed:
                found.append(place)
        return found

    def _sha256(self, place: Place) -> str:
        if place not in self._hashes:
            self._hashes[place] = place.sha256()
        return self._hashes[place]


def parts_of(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the files that hold the entries of a manifest.

    A large file may have been cut into parts: {"file": "a.safetensors", "parts": [{"file": ...}, ...]}.
    """
    return [part for entry in entries for part in entry.get("parts") or [entry]]


def look_up(entry: dict[str, Any], search: Search) -> tuple[dict[str, Any], list[Place]]:
    """Return the result for one entry of the manifest, and the places of its parts in order."""
    result = {"file": entry["file"], "ok": False}
    places: list[Place] = []
    for part in parts_of([entry]):
        place, found = search.find(part["file"], part["size"], part["sha256"])
        if place is None:
            result["expected"] = f"{part['file']}, {part['size']} bytes, sha256 {part['sha256']}"
            result["found"] = found
            return result, []
        places.append(place)
    result["ok"], result["found"] = True, ", ".join(place.told() for place in places)
    return result, places


def restored(out: Path, file: str) -> Path:
    """Return where an entry goes: "wheels-common.zip/x.whl" to OUT/wheels-common/x.whl.

    Raises:
        CheckError: the manifest names a place outside OUT.
    """
    parts = PurePosixPath(file).parts
    if len(parts) > 1 and parts[0].endswith(".zip"):
        parts = (parts[0][: -len(".zip")], *parts[1:])
    if file.startswith("/") or ".." in parts:
        raise CheckError(f"the manifest names {file!r}, a place outside the dataset: do not use this dataset")
    return out.joinpath(*parts)


def write(places: Sequence[Place], path: Path) -> None:
    """Write contents one after the other into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as stream:
        for place in places:
            place.pour(stream.write)
    unfinished.replace(path)


def read_manifest(folder: Path) -> tuple[list[dict[str, Any]], bytes]:
    """Return the entries of manifest.json and its bytes.

    Raises:
        CheckError: it is missing, damaged or of another schema.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckError(f"there is no {MANIFEST} in {folder}: name the folder that holds it")
    data = path.read_bytes()
    try:
        value = json.loads(data.decode("utf-8"))
        entries: list[dict[str, Any]] = value["files"]
        parts = [*entries, *parts_of(entries)]
        known = value["schema"] == SCHEMA and all({"file", "size", "sha256"} <= set(part) for part in parts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckError(f"{path} is damaged ({error}): download the dataset again") from error
    if not known:
        raise CheckError(f"{path} has another schema than {SCHEMA}: use the verify.py that lies beside it")
    return entries, data


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one dataset; the top of the file lists the exit codes.

    Raises:
        CheckError: the check cannot be made.
    """
    parser = argparse.ArgumentParser(description="Check a dataset against its manifest.json.")
    here = Path(__file__).resolve().parent
    parser.add_argument("folder", nargs="?", type=Path, default=here, metavar="DIR", help=f"with {MANIFEST}")
    parser.add_argument(
        "--restore", type=Path, metavar="OUT", help="write the files there, under their names"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    entries, data = read_manifest(options.folder)
    search = Search(options.folder)
    results = []
    for entry in entries:
        result, places = look_up(entry, search)
        if result["ok"] and options.restore is not None:
            write(places, restored(options.restore, entry["file"]))
        results.append(result)
    damaged = [result for result in results if not result["ok"]]
    surplus = [place.told() for place in search.surplus(parts_of(entries))]
    fingerprint = hashlib.sha256(data).hexdigest()
    if options.json:
        told = {"ok": not damaged, "fingerprint": fingerprint, "files": results, "not_listed": surplus}
        print(json.dumps(told, indent=1))
        return 1 if damaged else 0
    for result in damaged:
        print(f"DAMAGED  {result['file']}\n  expected {result['expected']}\n  found    {result['found']}")
    for place in surplus[:SHOWN]:
        print(f"NOT LISTED  {place}")
    if len(surplus) > SHOWN:
        print(f"NOT LISTED  and {len(surplus) - SHOWN} more")
    print(f"{len(results) - len(damaged)} of {len(results)} files are as they were bundled")
    print(f"fingerprint of this dataset: {fingerprint}")
    if damaged and search.nested:
        print(f"unpack {search.nested[0].path} and run this again")
    elif damaged:
        print("upload the dataset again, or attach the version that belongs to your predict.py")
    return 1 if damaged else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CheckError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
