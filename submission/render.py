"""Ensemble + bundle -> predict.py and predict.ipynb: one file of readable code that needs nothing beside it.

The same inputs give the same bytes, whatever the working directory, the clock or the hash seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from kit import ensemble as ensembles
from kit import manifest as datasets
from kit.artefacts import sha256_bytes, write_text
from kit.competitions import of
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.kaggle_limits import KERNEL_SOURCE_BYTES
from kit.manifest import Manifest
from kit.models import family
from submission.docstrings import first_paragraphs
from submission.modules import collect
from submission.readable_json import readable_json
from submission.runtime.inputs.competition_data import ENSEMBLE, MANIFESTS
from submission.runtime.inputs.preparation import ENGINE
from submission.runtime.script.text import IMPORTER, QUOTES, script_text

ENTRIES = ("submission.runtime.main", "submission.runtime.script.importer")
"""The program, and the importer that starts it."""


@dataclass(frozen=True)
class Rendered:
    """What `render` wrote.

    Attributes:
        script: predict.py.
        notebook: predict.ipynb beside it.
        size: bytes of the script.
        sha256: of the script.
        modules: how many are embedded.
    """

    script: Path
    notebook: Path
    size: int
    sha256: str
    modules: int


def render(ensemble_file: Path, bundle: Path, out: Path) -> Rendered:
    """Write predict.py and, beside it, predict.ipynb.

    Args:
        ensemble_file: ensemble.json.
        bundle: folder with the dataset folders that `bundle build` made for it.
        out: path of predict.py.

    Raises:
        KitError: the bundle lacks a member's weights, or the script would be too large for Kaggle.
    """
    ensemble = ensembles.load(ensemble_file)
    manifests = relevant_manifests(ensemble, bundle)
    modules = collect(_source_root(), *entry_points(ensemble))
    parts = {ENSEMBLE: _json_part(ensemble.as_dict())}
    parts |= {f"{MANIFESTS}{item.dataset}.json": _json_part(item.as_dict()) for item in manifests}
    parts |= {
        # Nothing puts blank lines into the importer, which stays whole.
        module.path: module.text if module.path == IMPORTER else first_paragraphs(module.text)
        for module in modules
    }
    text = script_text(_header(ensemble, manifests, len(modules)), parts)
    compile(text, out.name, "exec", dont_inherit=True)
    notebook = json.dumps(_notebook(text, of(ensemble).slug), indent=1, ensure_ascii=False) + "\n"
    size = len(text.encode())
    for name, length in ((out.name, size), (out.with_suffix(".ipynb").name, len(notebook.encode()))):
        if length >= KERNEL_SOURCE_BYTES:
            raise KitError(
                f"{name} would have {length} bytes, Kaggle takes fewer than {KERNEL_SOURCE_BYTES}",
                where=out,
                fix="fewer members or wheels make the embedded manifests smaller",
            )
    write_text(out, text)
    write_text(out.with_suffix(".ipynb"), notebook)
    return Rendered(out, out.with_suffix(".ipynb"), size, sha256_bytes(text.encode()), len(modules))


def entry_points(ensemble: Ensemble) -> list[str]:
    """Return the modules that predict.py starts from; what they import is embedded with them.

    They are the program, the engine and the competition code of the ensemble's kind, and the families of its
    members' networks. The program finds the last three by name when it runs, so a script of U-Nets carries no
    detector.

    Args:
        ensemble: to be rendered.

    Raises:
        KitError: a member's network is unknown.
    """
    families = {family(str(member.network.get("network"))) for member in ensemble.members}
    of_kind = (f"kit.competitions.{ensemble.kind}", f"kit.inference.{ensemble.kind}_engine")
    return [*ENTRIES, *of_kind, *sorted(families)]


def relevant_manifests(ensemble: Ensemble, bundle: Path) -> list[Manifest]:
    """Return what an ensemble needs of the manifests in a bundle: wheels, and the weights of its members.

    Args:
        ensemble: whose weights are looked for.
        bundle: folder with dataset folders.

    Raises:
        KitError: no manifest there, or a member's weights are in none.
    """
    paths = sorted([*bundle.glob("*/manifest.json"), *bundle.glob("manifest.json")])
    if not paths:
        raise KitError(
            "no manifest.json in this folder or one below", where=bundle, fix="run `bundle build` first"
        )
    wanted = {member.sha256: member.name for member in ensemble.members}
    chosen: list[Manifest] = []
    held: set[str] = set()
    for path in paths:
        manifest = datasets.load(path)
        weights = {entry.sha256 for entry in manifest.files if entry.role == "weights"}
        if weights & set(wanted) or any(entry.role == "wheel" for entry in manifest.files):
            chosen.append(manifest)
            held |= weights
    missing = sorted(name for sha256, name in wanted.items() if sha256 not in held)
    if missing:
        raise KitError(
            f"the bundle has no weights of {', '.join(missing)}",
            where=bundle,
            fix="run `bundle build` with this ensemble.json",
        )
    needed = datasets.closure(
        chosen, {*ENGINE, *(name for member in ensemble.members for name in member.requires)}
    )
    excerpts = [datasets.excerpt(item, weights=wanted, distributions=needed) for item in chosen]
    return sorted(excerpts, key=lambda manifest: manifest.dataset)


def _source_root() -> Path:
    return Path(str(files("kit"))).parent


def _json_part(value: Any) -> str:
    # An apostrophe occurs inside JSON strings only, where its escape means the same.
    text = readable_json(value)
    return text.replace("'", "\\u0027") if QUOTES in text else text


def _header(ensemble: Ensemble, manifests: Sequence[Manifest], modules: int) -> str:
    slug = of(ensemble).slug
    lines = [
        f"Submission to {slug}. Rendered: to change it, change the ensemble or the kit and render again.",
        "",
        "On Kaggle: attach the competition and the datasets below, switch the internet off, run this file",
        "without arguments. A valid submission.csv is there after seconds; better ones replace it.",
        "Elsewhere: python predict.py --input DIR --output DIR --budget SECONDS --device cpu|cuda",
        "To see what it would do: python predict.py --explain",
        "",
        "Datasets and the sha256 of their manifest.json:",
        *(f"  {manifest.dataset}  {manifest.sha256()}" for manifest in manifests),
        "",
        "Members and the sha256 of their weights:",
        *(
            f"  {member.name} ({member.network.get('network')})  {member.sha256}"
            for member in ensemble.members
        ),
        "",
        f"Ladder, {len(ensemble.rungs)} rungs:",
        *(
            f"  rung {number}: first {rung.passes} of {len(ensemble.passes)} passes, cv {rung.cv:.4f}"
            for number, rung in enumerate(ensemble.rungs, 1)
        ),
        "",
        f"Below: ensemble.json, what it needs of the manifests, and {modules} modules of the repository.",
        "Their code and comments are as they are there; of the docstrings of functions and classes here",
        "is the first paragraph. Tracebacks name the repository's files and lines.",
        "The last lines start the program.",
    ]
    header = "\n" + "\n".join(lines) + "\n"
    assert QUOTES not in header
    return header


def _notebook(script: str, slug: str) -> dict[str, Any]:
    """Return a notebook that writes the script and runs it as a process: no state of the kernel matters."""
    run = "!python /tmp/predict.py\nassert _exit_code == 0, 'only the fallback was written: see above'\n"
    cells = [
        ("markdown", f"# {slug}\n\nThe next cell writes `predict.py`, the last one runs it.\n"),
        ("code", "%%writefile /tmp/predict.py\n" + script),
        ("code", run),
    ]
    return {
        "cells": [
            {
                "cell_type": kind,
                "id": f"cell-{number}",
                "metadata": {},
                # One text, which nbformat allows beside a list of lines: a list has quotes around every line.
                "source": text,
                **({"execution_count": None, "outputs": []} if kind == "code" else {}),
            }
            for number, (kind, text) in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
