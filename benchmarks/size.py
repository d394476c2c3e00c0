"""Measure the parts of predict.py and its notebook, for ensembles of the published sizes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.markdown import table, write_block
from benchmarks.published_ensembles import SIZES, write
from kit.local.costs import load_with_costs
from submission.modules import collect, source_root
from submission.render import entry_points, render
from submission.runtime.script.text import IMPORTER
from submission.shortening import (
    half_indented,
    joined_marks,
    short_docstrings,
    without_comments,
    without_future,
    without_imports,
    without_types,
)

PARTS = {
    "submission/runtime/": "runtime: `submission/runtime`",
    "kit/plan/": "planner: `kit/plan`",
    "kit/inference/": "inference: `kit/inference`",
    "kit/competitions/": "competitions: `kit/competitions`",
    "kit/models/": "networks: `kit/models`",
    "kit/images/": "images: `kit/images`",
    "kit/masks/": "masks: `kit/masks`",
    "ensemble.json": "`ensemble.json`",
    "manifests/": "manifests",
    "": "everything else of `kit`",
}
"""Beginning of a part's path -> its row in the table; the first one that fits counts."""
_REST = "header, frames of the parts, start"
_STEPS: Mapping[str, Callable[[str], str]] = {
    "the import that makes annotations texts": without_future,
    "docstrings, but the first sentence of a module's": short_docstrings,
    "types that functions name": without_types,
    "imports that only these types needed": without_imports,
    "comments": lambda text: joined_marks(without_comments(text)),
    "half of the indents": half_indented,
}
"""What a module loses on the way into predict.py, in the order of `shortening.shortened`."""


def measure(script: Path) -> dict[str, int]:
    """Return the bytes of a rendered predict.py by part, and the bytes that the notebook adds.

    Args:
        script: predict.py; its notebook is in the same folder.

    Returns:
        Row of the table -> bytes.
    """
    text = script.read_text(encoding="utf-8")
    found: Counter[str] = Counter(dict.fromkeys([*PARTS.values(), _REST], 0))
    for path, part in _parts(text).items():
        # "kit/masks/rle.py" belongs to "kit/masks/"; "kit/errors.py" fits only the last row, "".
        row = next(row for start, row in PARTS.items() if path.startswith(start))
        found[row] += len(part.encode())
    total = len(text.encode())
    found[_REST] = total - found.total()
    notebook = script.with_suffix(".ipynb").stat().st_size
    return {
        **found,
        "**predict.py**": total,
        "added by the notebook: escapes, cells": notebook - total,
        "**predict.ipynb**": notebook,
    }


def _parts(text: str) -> Mapping[str, str]:
    space: dict[str, dict[str, str]] = {}
    exec(compile(text, "predict.py", "exec"), {"__name__": "measured"}, space)  # noqa: S102  # without "__main__", the script only assigns its texts
    return space["PARTS"]


def left_out(ensemble_file: Path) -> dict[str, int]:
    """Return the bytes that the modules of an ensemble's script lose in each step of their shortening.

    Args:
        ensemble_file: ensemble.json.

    Returns:
        Row of the table -> bytes.
    """
    ensemble = load_with_costs(ensemble_file)
    texts = [
        module.text
        for module in collect(source_root(), *entry_points(ensemble))
        if module.path != IMPORTER  # it loses nothing but half of its indents
    ]
    lost = {}
    for row, step in _STEPS.items():
        shorter = [step(text) for text in texts]
        lost[f"left out: {row}"] = _bytes(texts) - _bytes(shorter)
        texts = shorter
    return lost


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def run(docs: Path | None) -> None:
    """Render every published ensemble, and print the kilobytes of each part, and of what is left out.

    Args:
        docs: page to write the table into, docs/benchmarks.md or a copy; None: print it only.
    """
    columns: dict[str, dict[str, int]] = {}
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            ensemble, bundle = write(Path(folder), size)
            columns[name] = measure(render(ensemble, bundle, Path(folder) / "predict.py").script)
            columns[name] |= left_out(ensemble)
    rows = [
        [row, *(f"{column[row] / 1000:.1f}" for column in columns.values())]
        for row in next(iter(columns.values()))
    ]
    text = table(["kB", *columns], rows)
    print(text)
    if docs is not None:
        write_block(docs, "size", text)
