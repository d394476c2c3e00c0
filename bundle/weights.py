"""The weights of an ensemble: verified where training left them, named so that they survive Kaggle."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import safetensors_header
from kit.artefacts import read_sidecar, sha256_file, sidecar_path
from kit.ensemble import Ensemble, Member
from kit.errors import KitError
from kit.local.kaggle_names import safe

FOLDER = "weights"
"""Beside `ensemble.json`: where its members' weights are."""

_RUN_FIELDS = ("config", "config_sha256", "inputs", "metrics", "code_version")


@dataclass(frozen=True, kw_only=True)
class CheckedWeights:
    """One member's weights, known to be what the ensemble was tuned with.

    Attributes:
        path: the file.
        name: what it is called in the dataset.
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
    """Verify every member's weights: content, the JSON beside them, and structure.

    Args:
        ensemble: as loaded from `source`.
        source: path of `ensemble.json`; weights are in `weights/` beside it.
        on_checked: told after each member.

    Raises:
        KitError: a file is missing, is not the one the ensemble names, or is no whole safetensors.
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
        raise KitError(f"weights of {member.name} are missing", where=path, fix="run `ensemble` again")
    size, sha256 = path.stat().st_size, sha256_file(path)
    if (size, sha256) != (member.size, member.sha256):
        raise KitError(
            f"weights of {member.name} are not those the ensemble was tuned with: "
            f"{size} bytes, sha256 {sha256}; expected {member.size} bytes, {member.sha256}",
            where=path,
            fix="run `ensemble` again after training; it copies the weights it measured",
        )
    run = None
    if sidecar_path(path).exists():
        record = read_sidecar(path, kind="weights")
        run = {key: record[key] for key in _RUN_FIELDS if key in record}
    safetensors_header.check(path)
    name = safe(member.weights)
    if name in taken:
        name = safe(f"{sha256[:8]}-{member.weights}")
    return CheckedWeights(path=path, name=name, size=size, sha256=sha256, run=run)


def effective(ensemble: Ensemble, checked: list[CheckedWeights]) -> Ensemble:
    """The ensemble as it is shipped: its members name the files as they are called in the dataset."""
    members = [
        dataclasses.replace(member, weights=item.name)
        for member, item in zip(ensemble.members, checked, strict=True)
    ]
    return dataclasses.replace(ensemble, members=members)
