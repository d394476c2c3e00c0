"""`manifest.json`: what a dataset holds, by content, so that renamed and unpacked files are found again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kit.artefacts import canonical_json, read_json, sha256_bytes, write_json
from kit.errors import KitError

SCHEMA = 1
NAME = "manifest.json"
ARCHIVE_SUFFIX = ".zip"
Role = Literal["wheel", "weights", "config", "data"]


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """What the installer needs to know of a wheel without opening it.

    Attributes:
        name: normalised distribution name ("mmcv-full").
        version: exact version in the wheel.
        tags: its compatibility tags, e.g. ["cp313-cp313-manylinux_2_28_x86_64"].
        licence: SPDX expression or the text its metadata gives.
        accepts: version specifier an installed copy must meet to be kept ("==1.7.2", ">=1.0", "" = any).
        requires: for each target's Python tag ("cp313"), normalised names of what it needs there.
    """

    name: str
    version: str
    tags: list[str]
    licence: str
    accepts: str
    requires: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file.

    Attributes:
        file: path in the dataset, "/" between parts. A first part that ends in ".zip" is an archive of the
            dataset, and the rest is the file's name in it: "wheels-cp313.zip/timm-1.0.31-py3-none-any.whl".
        size: bytes.
        sha256: hex.
        role: what it is for.
        wheel: for wheels.
        run: for weights: what trained them (recipe, fold, seed, config_sha256, metrics).
    """

    file: str
    size: int
    sha256: str
    role: Role
    wheel: Wheel | None = None
    run: dict[str, Any] | None = None

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
class Manifest:
    """The files of one dataset and for which targets its wheels are complete."""

    dataset: str
    files: list[Entry]
    targets: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value; absent options are left out so that equal manifests are equal bytes."""
        value = asdict(self)
        value["files"] = [
            {key: item for key, item in entry.items() if item is not None}
            for entry in sorted(value["files"], key=lambda entry: entry["file"])
        ]
        return {"schema": SCHEMA, **value}

    def sha256(self) -> str:
        """Identity of the dataset: hash of the canonical JSON, which is also the file's bytes."""
        return sha256_bytes(canonical_json(self.as_dict()).encode())


def from_dict(value: dict[str, Any], *, where: str | Path | None = None) -> Manifest:
    """The manifest of a plain JSON value.

    Raises:
        KitError: wrong schema or fields.
    """
    if value.get("schema") != SCHEMA:
        raise KitError(
            f"manifest schema {value.get('schema')!r}, expected {SCHEMA}",
            where=where,
            fix="run `bundle` again",
        )
    try:
        files = [
            Entry(**{**item, "wheel": Wheel(**item["wheel"]) if item.get("wheel") else None})
            for item in value["files"]
        ]
        return Manifest(dataset=value["dataset"], files=files, targets=value["targets"])
    except (KeyError, TypeError) as error:
        raise KitError(f"not a manifest: {error}", where=where, fix="run `bundle` again") from error


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
