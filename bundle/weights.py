"""Check an ensemble's weights where training left them, and name them so that Kaggle keeps them.

Each file is read once, in blocks, whatever is compared with its hash. The dataset then gets a hard link.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.artefacts import read_json, sha256_file
from kit.ensemble import Ensemble, Member
from kit.errors import KitError
from kit.local import safetensors_header
from kit.local.kaggle_names import safe
from kit.local.sidecars import sidecar_path

FOLDER = "weights"
"""The folder beside `ensemble.json` that holds its members' weights."""

Dtype = Literal["float32", "float16", "bfloat16"]
"""Number formats in which weights may be shipped."""

_RUN_FIELDS = ("config", "config_sha256", "inputs", "metrics", "code_version")


@dataclass(frozen=True, kw_only=True)
class CheckedWeights:
    """One member's weights; they are those with which the ensemble was tuned.

    Attributes:
        path: the file.
        name: its name in the dataset.
        size: bytes.
        sha256: hex.
        run: what trained it, from the JSON beside it; None without one.
    """

    path: Path
    name: str
    size: int
    sha256: str
    run: dict[str, Any] | None


def check_all(
    ensemble: Ensemble, source: Path, *, on_checked: Callable[[Member], None] = lambda _: None
) -> list[CheckedWeights]:
    """Check every member's weights: their content, the JSON beside them, and their structure.

    Args:
        ensemble: as loaded from `source`.
        source: path of `ensemble.json`; the weights are in `weights/` beside it.
        on_checked: called after each member.

    Raises:
        KitError: a file is missing, differs from what the ensemble names, or is not a complete safetensors
            file.
    """
    checked: list[CheckedWeights] = []
    taken: set[str] = set()
    for member in ensemble.members:
        item = _check(member, source.parent / FOLDER / member.weights, taken)
        taken.add(item.name)
        checked.append(item)
        on_checked(member)
    return checked


def _check(member: Member, path: Path, taken: set[str]) -> CheckedWeights:
    if not path.is_file():
        raise KitError(
            f"the weights of {member.name} are missing", where=path, fix="run `ensemble` again to place them"
        )
    # The structure first, from the header alone: a truncated file is told without reading gigabytes.
    safetensors_header.check(path)
    size, sha256 = path.stat().st_size, sha256_file(path)
    if (size, sha256) != (member.size, member.sha256):
        raise KitError(
            f"the weights of {member.name} are not those with which the ensemble was tuned: "
            f"expected {member.size} bytes, sha256 {member.sha256}; found {size} bytes, sha256 {sha256}",
            where=path,
            fix="run `ensemble` again after training; it places the weights that it measured",
        )
    # Two names can become one: "a+b.safetensors" and "a=b.safetensors" both give "a-b.safetensors". The
    # second one gets a part of its hash in front.
    name = safe(member.weights)
    if name in taken:
        name = safe(f"{sha256[:8]}-{member.weights}")
    return CheckedWeights(path=path, name=name, size=size, sha256=sha256, run=_run(path, sha256))


def _run(path: Path, sha256: str) -> dict[str, Any] | None:
    """Return what the JSON beside the weights says about their training; None without such a file."""
    beside = sidecar_path(path)
    if not beside.exists():
        return None
    record = read_json(beside)
    if not isinstance(record, dict) or (record.get("kind"), record.get("sha256")) != ("weights", sha256):
        raise KitError(
            f"this JSON does not describe the weights {path.name}",
            where=beside,
            fix="run `ensemble` again; it places both files",
        )
    return {key: record[key] for key in _RUN_FIELDS if key in record}


def effective(ensemble: Ensemble, checked: list[CheckedWeights]) -> Ensemble:
    """Return the ensemble with the weights of the dataset: their names there, and what they are now."""
    members = [
        dataclasses.replace(member, weights=item.name, sha256=item.sha256, size=item.size)
        for member, item in zip(ensemble.members, checked, strict=True)
    ]
    return dataclasses.replace(ensemble, members=members)
