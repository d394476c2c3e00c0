"""What Kaggle should show of a dataset, and whether it does: by content, as names and archives change."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kit import manifest
from kit.artefacts import open_to_read
from kit.local.kaggle_names import mangle, without_archive_ending

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Expected:
    """One file that was sent, or one file in an archive of ours.

    Attributes:
        file: name in the folder, or in the archive.
        size: bytes.
        md5: base64.
        sha256: hex.
        inside: the archive's name; None for a file of the folder.
    """

    file: str
    size: int
    md5: str
    sha256: str
    inside: str | None = None


@dataclass(frozen=True)
class RemoteEntry:
    """One line of Kaggle's listing; `size` is None if it does not tell it."""

    name: str
    size: int | None


@dataclass(frozen=True)
class Comparison:
    """A listing beside what was sent.

    Attributes:
        pairs: what is there, with what it should be.
        missing: what was sent and is not there.
        surplus: what is there and was not sent.
        wrong: lines whose size is another: (there, expected).
    """

    pairs: list[tuple[RemoteEntry, Expected]] = field(default_factory=list)
    missing: list[Expected] = field(default_factory=list)
    surplus: list[RemoteEntry] = field(default_factory=list)
    wrong: list[tuple[RemoteEntry, Expected]] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether all that was sent is there, and nothing else."""
        return not (self.missing or self.surplus or self.wrong)


def sent_files(folder: Path) -> list[str]:
    """Return the names of the files that an upload of a dataset folder sends: all but the metadata."""
    listed = manifest.load(folder / manifest.NAME).files
    return sorted({entry.archive or entry.file for entry in listed} | {manifest.NAME})


def expected(folder: Path) -> list[Expected]:
    """Return what is in a dataset folder, the files in our archives too; each file is read once or twice.

    Raises:
        KitError: the manifest cannot be read.
        OSError: a file cannot be read.
    """
    found = []
    for name in sent_files(folder):
        with open_to_read(folder / name) as stream:
            found.append(_hashed(stream, name, None))
        if name.endswith(manifest.ARCHIVE_SUFFIX):
            with zipfile.ZipFile(folder / name) as archive:
                for item in archive.namelist():
                    with archive.open(item) as member:
                        found.append(_hashed(member, item, name))
    return found


def _hashed(stream: IO[bytes], name: str, inside: str | None) -> Expected:
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while block := stream.read(_BLOCK):
        md5.update(block)
        sha256.update(block)
        size += len(block)
    return Expected(name, size, base64.b64encode(md5.digest()).decode(), sha256.hexdigest(), inside)


def compare(wanted: Sequence[Expected], listed: Sequence[RemoteEntry]) -> Comparison:
    """Compare a listing with what was sent.

    Kaggle strips characters from names (whether in archives, too, is not certain) and unpacks archives,
    sometimes with the folder doubled. So an archive counts as there if it is listed itself, or if each file
    in it is:

        wheels.zip (a.whl) -> "wheels.zip", "wheels/a.whl", "wheels/wheels/a.whl", "wheels.zip/a.whl", "a.whl"
    """
    left = {entry.name: entry for entry in listed}
    result = Comparison(surplus=[])
    members: dict[str, list[Expected]] = {}
    for item in wanted:
        if item.inside is not None:
            members.setdefault(item.inside, []).append(item)
    for item in (item for item in wanted if item.inside is None):
        if entry := left.pop(mangle(item.file), None) or left.pop(item.file, None):
            _take(result, entry, item)
        elif item.file not in members:
            result.missing.append(item)
        else:
            for member in members[item.file]:
                place = next((name for name in _places(member, item.file) if name in left), None)
                if place is None:
                    result.missing.append(member)
                else:
                    _take(result, left.pop(place), member)
    result.surplus.extend(left.values())
    return result


def _places(member: Expected, inside: str) -> list[str]:
    """Where Kaggle may show a file that is inside an archive."""
    archive = mangle(inside)
    folder = without_archive_ending(archive)
    return [
        f"{place}{name}"
        for name in dict.fromkeys((mangle(member.file), member.file))
        for place in (f"{folder}/", f"{folder}/{folder}/", f"{archive}/", "")
    ]


def _take(result: Comparison, entry: RemoteEntry, item: Expected) -> None:
    if entry.size not in (None, item.size):
        result.wrong.append((entry, item))
    else:
        result.pairs.append((entry, item))
