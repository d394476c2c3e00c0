"""`python -m benchmarks examples`: the walks of docs/own-model.md and what they reach."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.child import ROOT
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import ExampleOptions
from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.console import show_table

BLOCK = "examples"
HEAD = ("example", "folds", "score of the rehearsed submission", "without a model", "seconds for all of it")
EXAMPLES = Path("docs", "examples")


def run(options: ExampleOptions, command: Sequence[str], docs: Path = DOCS / "own-model.md") -> None:
    """Walk through the examples and show their scores; keep the table in the docs if the options say so.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: an example is unknown, or a step of it failed.
    """
    if unknown := set(options.only) - WITHOUT.keys():
        raise KitError(
            f"no example is called {min(unknown)!r}",
            where="--only",
            fix=f"there are {', '.join(WITHOUT)}",
        )
    rows = []
    for name in options.only:
        if options.found is not None:
            rows.append(_row(name, (options.found / name).absolute(), "-"))
            continue
        with tempfile.TemporaryDirectory(prefix="example-bench-") as folder:
            rows.append(_walked(name, Path(folder), short=options.tiny))
    show_table(BLOCK, HEAD, rows)
    if options.write_docs:
        text = table(HEAD, rows, numbers_from=len(HEAD) - 1)
        write_block(docs, BLOCK, f"{text}\n\n{machine.made_by(command)}")


def _walked(name: str, out: Path, *, short: bool) -> list[str]:
    began = time.monotonic()
    _python(str(EXAMPLES / "run.py"), name, "--out", str(out), *(["--short"] if short else []))
    return _row(name, out, f"{time.monotonic() - began:.0f}")


def _row(name: str, out: Path, seconds: str) -> list[str]:
    score: dict[str, Any] = read_json(out / "dist" / "rehearsal" / "rehearsal.json")["score"]
    folds = [read_json(path)["score"] for path in sorted((out / "runs").glob("*/fold?/done.json"))]
    with tempfile.TemporaryDirectory(prefix="example-bench-") as folder:
        without = WITHOUT[name](out / "data", Path(folder))
    return [
        name,
        f"{score['metric']} {', '.join(f'{value:.4f}' for value in folds)}",
        f"{score['metric']} {score['value']:.4f}",
        without,
        seconds,
    ]


def _baselines(_: Path, scratch: Path) -> str:
    """Score the two baselines of masks on the sample that the segmenter was trained on."""
    toml, data = str(EXAMPLES / "segmenter" / "competition.toml"), str(Path("sample", "kidney"))
    told = []
    for kind, said in (("otsu", "Otsu's threshold"), ("all-foreground", "all foreground")):
        file = scratch / f"{kind}.csv"
        where = ("--competition", toml, "--data", data)
        _python("-m", "train_local", "baseline", *where, "--kind", kind, "--out", str(file))
        told.append(f"{said} {_score(toml, data, file):.4f}")
    return ", ".join(told)


def _share(data: Path, scratch: Path) -> str:
    """Score the answer of who knows the share of crowded training tiles and looks at none."""
    file = scratch / "share.csv"
    with (data / "train.csv").open(newline="") as stream:
        crowded = [int(row["crowded"]) for row in csv.DictReader(stream)]
    with (data / "sample_submission.csv").open(newline="") as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    share = sum(crowded) / len(crowded)
    file.write_text("id,crowded\n" + "".join(f"{name},{share}\n" for name in ids))
    toml = str(EXAMPLES / "classifier" / "competition.toml")
    return f"the share of crowded tiles {_score(toml, str(data), file):.4f}"


WITHOUT: dict[str, Callable[[Path, Path], str]] = {"segmenter": _baselines, "classifier": _share}
"""Example -> function of its data and of a folder to write into; what is reached without a model."""


def _score(toml: str, data: str, file: Path) -> float:
    where = ("--competition", toml, "--data", data)
    told = _python("-m", "kit", "score", *where, "--submission", str(file), "--json", quiet=True)
    return float(json.loads(told)["value"])


def _python(*words: str, quiet: bool = False) -> str:
    """Run a command of this Python in the repository; return what it printed if it is to be quiet."""
    out = subprocess.PIPE if quiet else None
    done = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=out, text=True, check=False)
    if done.returncode:
        raise KitError(f"`python {' '.join(words[:3])}` ended with the code {done.returncode}")
    return done.stdout or ""
