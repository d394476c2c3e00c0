"""Reads the parts of a rendered predict.py without running it, and makes its hashes right again."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from kit import ensemble as ensembles
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.offline.faults.weights import Replaced
from submission.runtime.inputs.competition_data import ENSEMBLE, MANIFESTS
from submission.runtime.script.text import script_text


def read_parts(predict: Path) -> tuple[str, dict[str, str]]:
    """Return the header and the parts of a rendered script: path -> text.

    Raises:
        KitError: it was not rendered.
    """
    foreign = KitError("this is not a rendered predict.py", where=predict, fix="run `render`")
    try:
        tree = ast.parse(predict.read_text(encoding="utf-8"), str(predict))
    # No text, no Python, or nested without end.
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise foreign from error
    # The script holds one assignment for each part: PARTS["ensemble.json"] = r'''...'''.
    header, parts = "", {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id="__doc__")], value=ast.Constant(value=str(text))):
                header = text
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id="PARTS"), slice=ast.Constant(value=str(name)))],
                value=ast.Constant(value=str(text)),
            ):
                parts[name] = text[1:]  # a newline follows the opening quotes
    if ENSEMBLE not in parts:
        raise foreign
    return header, parts


def ensemble_of(predict: Path) -> Ensemble:
    """Return the ensemble that a script carries.

    Raises:
        KitError: it was not rendered.
    """
    return ensembles.from_dict(json.loads(read_parts(predict)[1][ENSEMBLE]), where=predict)


def with_weights(predict: Path, replaced: Replaced) -> str:
    """Return the text of a script that expects other weights: only their hash and size change."""
    header, parts = read_parts(predict)
    for name, text in parts.items():
        if name == ENSEMBLE or name.startswith(MANIFESTS):
            value = json.loads(text)
            _expect(value, replaced)
            parts[name] = json.dumps(value, indent=1) + "\n"
    return script_text(header, parts)


def _expect(value: Any, replaced: Replaced) -> None:
    if isinstance(value, dict):
        if value.get("sha256") == replaced.before:
            value |= {"sha256": replaced.after, "size": replaced.size}
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _expect(item, replaced)
