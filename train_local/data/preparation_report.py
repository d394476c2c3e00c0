"""What a person is told of a prepared folder, and of one that is only planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.local.console import console, show_table
from kit.local.wording import counted
from train_local.data import array_jobs
from train_local.data.array_jobs import ArrayJob
from train_local.data.folds import Fold
from train_local.data.prepared import Image, Prepared

_HEADINGS = ("fold", "train", "valid", "groups held out")


def _fold_rows(made: Prepared) -> list[tuple[str, str, str, str]]:
    return [_fold_row(fold, made.images) for fold in made.folds]


def _fold_row(fold: Fold, images: dict[str, Image]) -> tuple[str, str, str, str]:
    held = sorted({images[image_id].group for image_id in fold.valid})
    shown = ", ".join(held[:6]) + (" ..." if len(held) > 6 else "")
    return str(fold.index), str(len(fold.train)), str(len(fold.valid)), shown


def report_text(made: Prepared) -> str:
    """Return what a person wants to know about a prepared folder, as Markdown."""
    groups = {image.group for image in made.images.values()}
    pixels = sum(image.height * image.width for image in made.images.values())
    held = f"{counted(len(made.images), 'labelled image')}, {counted(len(groups), 'group')}"
    size = f"{held}, {pixels / 1e6:.1f} megapixels"
    counts = {
        "Organs": Counter(image.organ for image in made.images.values() if image.organ),
        "Datasets": Counter(
            str(image.dataset) for image in made.images.values() if image.dataset is not None
        ),
    }
    lines = [
        f"# {made.competition}: prepared data",
        "",
        f"{size}; {len(made.unlabelled)} without labels; split: {made.folds_by}, seed {made.seed}.",
        *(
            f"{what}: {', '.join(f'{name} {count}' for name, count in sorted(found.items()))}."
            for what, found in counts.items()
            if found
        ),
        *([f"Stained copies: {', '.join(made.stains)}."] * bool(made.stains)),
        "",
        *(f"| {' | '.join(row)} |" for row in (_HEADINGS, ("---",) * len(_HEADINGS), *_fold_rows(made))),
        "",
        "## Findings",
        "",
        *([f"- {text}" for text in made.findings] or ["- none"]),
    ]
    return "\n".join(lines) + "\n"


def _title(made: Prepared) -> str:
    images, folds = counted(len(made.images), "image"), counted(len(made.folds), "fold")
    return f"{made.competition}: {images} in {folds} ({made.folds_by})"


def show(made: Prepared) -> None:
    """Print the folds and what was found."""
    show_table(_title(made), _HEADINGS, _fold_rows(made))
    show_findings(made.findings)
    console().print(f"prepared data: {made.root}", markup=False)


def show_findings(findings: Sequence[str]) -> None:
    """Print notes, and alarms in yellow."""
    screen = console()
    for text in findings:
        screen.print(text, style="yellow" if not text.startswith("note") else "", markup=False)


def show_plan(made: Prepared, jobs: Sequence[ArrayJob], root: Path) -> None:
    """Print the folds, and what `prepare` would write, how large it is and whether the disk holds it."""
    show_table(
        _title(made),
        _HEADINGS,
        _fold_rows(made),
    )
    missing = {id(job) for job in array_jobs.missing(jobs)}
    rows = []
    for what in dict.fromkeys(job.what for job in jobs):
        of = [job for job in jobs if job.what == what]
        todo = [job for job in of if id(job) in missing]
        rows.append((what, str(len(of)), str(len(of) - len(todo)), _size(sum(job.size for job in todo))))
    show_table("arrays", ("what", "images", "there already", "to write"), rows)
    show_findings(made.findings)
    need, free = sum(job.size for job in array_jobs.missing(jobs)), array_jobs.free_space(root)
    verdict = "enough" if need <= free else "NOT enough: choose an --out on a larger disk"
    console().print(
        f"{_size(need)} would be written to {root}; its disk has {_size(free)} free, which is {verdict}. "
        "Nothing was written.",
        markup=False,
    )


def described(made: Prepared) -> dict[str, Any]:
    """Return what `prepare --json` prints of a prepared folder."""
    return {
        "competition": made.competition,
        "prepared": str(made.root),
        "images": len(made.images),
        "unlabelled": len(made.unlabelled),
        "split": made.split,
        "strata": made.strata,
        "seed": made.seed,
        "folds": [{"fold": fold.index, "train": fold.train, "valid": fold.valid} for fold in made.folds],
        "findings": list(made.findings),
    }


def planned(jobs: Sequence[ArrayJob], root: Path) -> dict[str, int]:
    """Return the bytes that `prepare` would write to a folder, and those that are free there."""
    return {
        "bytes": sum(job.size for job in array_jobs.missing(jobs)),
        "free_bytes": array_jobs.free_space(root),
    }


def _size(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 1 << 27 else f"{size / 2**20:.1f} MiB"
