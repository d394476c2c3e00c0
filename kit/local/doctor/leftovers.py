"""What killed commands have left behind; most of it the same command takes up again, or clears away."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from kit.local.doctor.finding import Finding
from kit.local.wording import amount, counted

_OLD_S = 3600.0
"""Seconds; what is younger may belong to a command that runs."""
_SHOWN = 3
_READ = (
    "work/*/prepared.json",
    "runs/*/*/fold*/done.json",
    "dist/*/ensemble.json",
    "dist/demo/*/ensemble.json",
)


def look(root: Path) -> list[Finding]:
    """Return what is half-written in work/, runs/, dist/, build/ and checkpoints/.

    Args:
        root: of the repository.
    """
    found = [*_temporary(root), *_stages(root), *_damaged(root), *_unfinished(root)]
    if found:
        return found
    return [
        Finding(about="half-written files", level="ok", told="none in work, runs, dist, build, checkpoints")
    ]


def _temporary(root: Path) -> Iterator[Finding]:
    found = []
    for name in ("work", "runs", "dist", "build", "checkpoints"):
        for path, _, files in os.walk(root / name):
            # The kit writes under ".NAME.1b2f03c4.tmp" and renames. NAME.part of a download goes on.
            found += [Path(path, file) for file in files if file.startswith(".") and file.endswith(".tmp")]
    old = [path for path in found if _age(path) > _OLD_S]
    if old:
        total = sum(path.stat().st_size for path in old if path.is_file())
        yield Finding(
            about="half-written files",
            level="note",
            told=f"{counted(len(old), 'file')} of {amount(total)} that a killed command left: "
            f"{_names(old, root)}",
            fix="run that command again, or delete them when no command of the kit runs",
            facts={"files": [str(path) for path in old[:100]], "bytes": total},
        )


def _stages(root: Path) -> Iterator[Finding]:
    old = [path for path in (root / "dist").glob("**/.stage-*") if path.is_dir() and _age(path) > _OLD_S]
    if old:
        yield Finding(
            about="rehearsals",
            level="note",
            told=f"{counted(len(old), 'stage')} of killed rehearsals: {_names(old, root)}",
            fix="delete these folders when no rehearsal runs",
            facts={"folders": [str(path) for path in old]},
        )


def _damaged(root: Path) -> Iterator[Finding]:
    for pattern in _READ:
        for path in sorted(root.glob(pattern)):
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                step = {"work": "prepare", "runs": "train-all", "dist": "ensemble"}[pattern.partition("/")[0]]
                yield Finding(
                    about=str(path.relative_to(root)),
                    level="problem",
                    told=f"cannot be read: {error}",
                    fix=f"delete it and run `nox -s {step}` again",
                )


def _unfinished(root: Path) -> Iterator[Finding]:
    runs = [path.parent for path in (root / "runs").glob("*/*/fold*/run.json")]
    open_runs = [path for path in runs if "." not in path.name and not (path / "done.json").is_file()]
    if open_runs:
        told = f"{counted(len(open_runs), 'training')} begun and not done: {_names(open_runs, root)}"
        fix = "nox -s train-all goes on from their checkpoints"
        yield Finding(about="trainings", level="note", told=told, fix=fix, facts={"runs": len(open_runs)})
    dist = root / "dist"
    for folder in sorted([*dist.glob("*/bundle/*"), *dist.glob("demo/*/bundle/*")]):
        if folder.is_dir() and not (folder / "manifest.json").is_file():
            yield Finding(
                about=str(folder.relative_to(root)),
                level="note",
                told="a dataset without its manifest: `bundle` was cut off",
                fix=f"nox -s bundle -- {folder.parents[1].relative_to(dist)}",
            )


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _names(paths: list[Path], root: Path) -> str:
    shown = ", ".join(str(path.relative_to(root)) for path in sorted(paths)[:_SHOWN])
    return shown + (" ..." if len(paths) > _SHOWN else "")
