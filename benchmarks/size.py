"""Measure the parts of predict.py and its notebook, for ensembles of the published sizes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.markdown import DOCS, table, write_block
from benchmarks.published_ensembles import SIZES, write
from submission.render import render

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


def run(*, write_docs: bool) -> None:
    """Render every published ensemble, and print the kilobytes of each part.

    Args:
        write_docs: also write the table into docs/benchmarks.md.
    """
    columns: dict[str, dict[str, int]] = {}
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            ensemble, bundle = write(Path(folder), size)
            columns[name] = measure(render(ensemble, bundle, Path(folder) / "predict.py").script)
    rows = [
        [row, *(f"{column[row] / 1000:.1f}" for column in columns.values())]
        for row in next(iter(columns.values()))
    ]
    text = table(["kB", *columns], rows)
    print(text)
    if write_docs:
        write_block(DOCS / "benchmarks.md", "size", text)
