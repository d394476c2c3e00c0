"""`manifest.json`: what a dataset holds, by content, so that renamed and unpacked files are found again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from kit.artefacts import canonical_json, read_json, sha256_bytes, write_json
from kit.names import FilePath, Hexadecimal, Name, PythonTag, Specifier, Version, WheelTag
from kit.typed_json import Checked, at_least, from_plain, to_plain

SCHEMA = 1
NAME = "manifest.json"
ARCHIVE_SUFFIX = ".zip"
Role = Literal["wheel", "weights", "config", "data"]


@dataclass(frozen=True, kw_only=True)
class Wheel(Checked):
    """What the installer needs to know of a wheel without opening it.

    Attributes:
        name: normalised distribution name ("mmcv-full").
        version: exact version in the wheel.
        tags: its compatibility tags, e.g. ["cp313-cp313-manylinux_2_28_x86_64"].
        accepts: version specifier an installed copy must meet to be kept ("==1.7.2", ">=1.0", "" = any).
        requires: for each target's Python tag ("cp313"), normalised names of what it needs there.
        licence: SPDX expression or the text its metadata gives; None in an excerpt.
    """

    name: Name
    version: Version
    tags: list[WheelTag]
    accepts: Specifier
    requires: dict[PythonTag, list[Name]]
    licence: str | None = None


@dataclass(frozen=True, kw_only=True)
class Entry(Checked):
    """One file.

    Attributes:
        file: path in the dataset, "/" between parts. A first part that ends in ".zip" is an archive of the
            dataset, and the rest is the file's name in it: "wheels-cp313.zip/timm-1.0.31-py3-none-any.whl".
        size: bytes.
        sha256: hex.
        role: what it is for.
        wheel: for wheels.
        run: for weights: what trained them (recipe, fold, seed, config_sha256, metrics).
        part_of: of a shard of weights: sha256 of the file that all its shards make.
    """

    file: FilePath
    size: Annotated[int, at_least(0)]
    sha256: Hexadecimal
    role: Role
    wheel: Wheel | None = None
    run: dict[str, Any] | None = None
    part_of: Hexadecimal | None = None

    @property
    def name(self) -> str:
        """The file's name without archive and folders."""
        return self.file.rpartition("/")[2]

    @property
    def archive(self) -> str | None:
        """Name of the dataset's archive that carries the file; None for a file that lies in the open."""
        top, slash, _ = self.file.partition("/")
        return top if slash and top.endswith(ARCHIVE_SUFFIX) else None


@dataclass(frozen=True, kw_only=True)
class Manifest(Checked):
    """The files of one dataset.

    Attributes:
        dataset: its name.
        files: all of them, or those that one ensemble needs (`excerpt`).
        targets: Python tags for which the wheels are complete.
        excerpt_of: sha256 of the manifest.json that an excerpt was made from; None for the whole.
    """

    dataset: Name
    files: list[Entry]
    targets: list[PythonTag] = field(default_factory=list)
    excerpt_of: Hexadecimal | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value; absent options are left out so that equal manifests are equal bytes."""
        in_order = replace(self, files=sorted(self.files, key=lambda entry: entry.file))
        return {"schema": SCHEMA, **to_plain(in_order, leave_out_none=True)}

    def sha256(self) -> str:
        """Return the dataset's identity: the hash of its manifest.json, which is canonical JSON."""
        return self.excerpt_of or sha256_bytes(canonical_json(self.as_dict()).encode())


def from_dict(value: Any, *, where: str | Path | None = None) -> Manifest:
    """The manifest of a plain JSON value.

    Raises:
        KitError: wrong schema or fields.
    """
    return from_plain(Manifest, value, where=where, fix="run `bundle` again", schema=SCHEMA)


def save(folder: Path, manifest: Manifest) -> Path:
    """Write `manifest.json` into a dataset folder; call it after all other files."""
    path = folder / NAME
    write_json(path, manifest.as_dict())
    return path


def load(path: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        KitError: missing, damaged or of another schema.
    """
    return from_dict(read_json(path), where=path)
