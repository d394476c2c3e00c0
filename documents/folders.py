"""docs/folders.md: every folder of the repository in one line.

A package says in the first sentence of its `__init__.py` what it holds. Folders of tests mirror packages.
What is neither stands in `_OTHERS`, and a folder without a line is an error.
"""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

from documents.markdown import GENERATED, cell, code, introduction, table
from kit.errors import KitError

_OTHERS = {
    ".ci": "what continuous integration runs",
    "benchmarks": "figures of speed, memory and size beside other ways",
    "bundle/packages": "wheels of our own, with their sources",
    "bundle/packages/cbnetv2": "the distribution `cbnetv2`",
    "bundle/packages/mmcv_portable": "our `mmcv/_ext.py`, and the pin of the source that it is packed with",
    "bundle/packages/vit_adapter": "the distribution `vit-adapter`",
    "bundle/probe": "what an image has, seen by a kernel or read from a list, becomes a target",
    "docs": "these pages",
    "docs/assets": "look and filter of the site",
    "docs/competitions": "definitions of public competitions, as examples",
    "docs/examples": "models of one's own, from training to a scored rehearsal",
    "docs/screenshots": "pictures of the report pages",
    "documents/introductions": "what the made pages begin with",
    "sample": "labelled images with their licences, laid out as three competitions",
    "submission/submit": "predict.py to a score: sources, commit run, forecast, one submission, log",
    "tests": "tests: they mirror the packages",
    "tests/bundle/datasets": "tests of the datasets that a bundle is made of",
    "kit/local/pages/openseadragon": "the viewer of slides that report pages carry, with its licence",
    "tests/browser": "the report pages in a real browser, and their pictures",
    "tests/drawn_models": "models of one's own, for pictures that `tests/drawn.py` draws",
    "tests/e2e": "the built artefacts, from data to a scored submission",
    "tests/gateway": "a gateway that speaks Kaggle's protocol",
    "tests/golden": "two small ensembles, and the submissions that an independent slow program made of them",
    "tests/mounts": "mounts that read slowly, in parts, or not at all",
}
_WHOLE = (
    *("sample/", "tests/golden/", "tests/gateway/", "bundle/packages/"),
    *("docs/competitions/", "docs/examples/"),
)
"""Folders whose inner folders need no line of their own."""


def page(root: Path) -> str:
    """Return the text of docs/folders.md.

    Raises:
        KitError: a folder has no line.
    """
    rows = [(code(f"{folder}/"), cell(line)) for folder, line in lines(root).items()]
    return f"{introduction(root, 'folders')}\n{table(('folder', 'holds'), rows)}\n{GENERATED}\n"


def lines(root: Path) -> dict[str, str]:
    """Return folder -> what it holds, in alphabetical order, of all folders that git tracks.

    Raises:
        KitError: a folder has no line.
    """
    listed = ["git", "ls-files", "-z", "--cached"]
    done = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True)
    there = {parent for name in done.stdout.split("\0") if name for parent in Path(name).parents}
    folders = sorted(folder.as_posix() for folder in there if folder != Path())
    return {
        folder: _line(root, folder)
        for folder in folders
        if folder in _OTHERS or not folder.startswith(_WHOLE)
    }


def _line(root: Path, folder: str) -> str:
    if folder in _OTHERS:
        return _OTHERS[folder]
    mirrored = folder.removeprefix("tests/")
    if mirrored != folder and (root / mirrored).is_dir():
        return f"tests of `{mirrored}/`"
    file = root / folder / "__init__.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else None
    if not text:
        raise KitError(
            f"nothing says what the folder {folder} holds",
            where=file,
            fix="write it into the first sentence of its __init__.py, or into documents/folders.py",
        )
    return text.split("\n\n")[0]
