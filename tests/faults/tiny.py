"""The smallest competition, ensemble and script for many runs: three tiny networks, three tiny slides."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tiny_submission import SEGFORMER, SLUG, Form, TinySubmission, write, write_competition
from kit.ensemble import Ensemble

SIZES = {"aaa": (200, 280), "bbb": (150, 170), "ccc": (120, 120)}
FORM = Form(
    members=3,
    views=("identity",),
    rungs=(1, 2, 3),
    network=SEGFORMER,
    inference={"core": 96, "context": 16, "scale": 0.5, "batch_size": 4},
)


@dataclass(frozen=True)
class Tiny:
    """What a run needs: data, bundle and script."""

    data: Path
    bundle: Path
    script: Path
    ensemble: Ensemble


def make(folder: Path) -> Tiny:
    """Write data, weights and script into an empty folder, or return what it has."""
    data, made = folder / SLUG, TinySubmission(folder)
    if not (folder / "made").exists():
        write_competition(data, SIZES)
        write(folder, FORM)
        (folder / "made").touch()
    return Tiny(data, made.bundle, made.script, made.ensemble)


def report_of(out: Path) -> dict | None:
    """The report of a run, None if there is none."""
    path = out / "report.json"
    return json.loads(path.read_text()) if path.is_file() else None
