"""The JSON beside an artefact, which says what made it; `read_json_lines` for logs.

It is written last. A step that is killed leaves the old artefact, the new one, or one without its JSON, which
counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.artefacts import read_json, sha256_file, sha256_json, write_json
from kit.errors import KitError

SIDECAR_SCHEMA = 1


def read_json_lines(path: Path) -> list[Any]:
    """Read a file with one JSON value per line; skip a line that a kill cut off. No file gives no values."""
    values = []
    # Split bytes, not text: the cut may fall into the middle of a character ("Grö" without its last byte is
    # no UTF-8), and str.splitlines also splits at U+2028, which JSON allows inside a string.
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            values.append(json.loads(line))
        except ValueError:
            continue
    return values


def sidecar_path(path: Path) -> Path:
    """Return the path of the JSON beside an artefact: `weights.safetensors` -> `weights.safetensors.json`."""
    return path.with_name(path.name + ".json")


def write_sidecar(
    path: Path,
    *,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    metrics: Mapping[str, float] | None = None,
    code_version: str,
    **more: Any,
) -> dict[str, Any]:
    """Write the JSON that completes an artefact; call it last.

    Args:
        path: the finished artefact (a file).
        kind: what it is, e.g. "weights".
        config: the resolved config that made it.
        inputs: name -> sha256 of what it was made from.
        metrics: named numbers, larger or smaller is better as the name says.
        code_version: version of the code that made it.
        more: further fields of the kind's own.

    Returns:
        What was written.
    """
    record = {
        "schema": SIDECAR_SCHEMA,
        "kind": kind,
        "file": path.name,
        "size": path.stat().st_size,
        "sha256": sha256_file(path),
        "config": dict(config),
        "config_sha256": sha256_json(dict(config)),
        "inputs": dict(inputs),
        "metrics": dict(metrics or {}),
        "code_version": code_version,
        **more,
    }
    write_json(sidecar_path(path), record)
    return record


def read_sidecar(path: Path, *, kind: str) -> dict[str, Any]:
    """Read the JSON beside an artefact, and check that it describes this very file.

    Raises:
        KitError: either is missing, of another kind, or they do not belong together.
    """
    record: dict[str, Any] = read_json(sidecar_path(path))
    if not isinstance(record, dict) or not {"kind", "size", "sha256"} <= set(record):
        raise KitError(
            "this JSON does not describe an artefact",
            where=sidecar_path(path),
            fix="delete it and the file it lies beside, and run their step again",
        )
    if record["kind"] != kind:
        raise KitError(
            f"expected {kind}, found {record.get('kind')!r}",
            where=sidecar_path(path),
            fix=f"give the path of a {kind} file",
        )
    if not path.is_file():
        raise KitError(f"{kind} file is missing", where=path, fix="run the step that writes it")
    if path.stat().st_size != record["size"] or sha256_file(path) != record["sha256"]:
        raise KitError(
            f"{kind} file differs from what its JSON describes",
            where=path,
            fix="it was changed or damaged after it was written: delete both and run the step again",
        )
    return record
