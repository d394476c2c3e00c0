"""Which competition's data a folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kit.competitions.base import Report
from kit.competitions.tables import header_of


@dataclass(frozen=True)
class Signature:
    """What tells a competition's folder from others.

    Attributes:
        name: in `kit.competitions`; None where the kit has no module for it yet.
        columns: header of its sample_submission.csv.
        train_columns: header of its train.csv, None without one.
        entries: files or folders only it has.
    """

    name: str | None
    columns: tuple[str, ...]
    train_columns: tuple[str, ...] | None
    entries: tuple[str, ...]


SIGNATURES = {
    "hubmap-kidney-segmentation": Signature(
        "kidney", ("id", "predicted"), ("id", "encoding"), ("HuBMAP-20-dataset_information.csv",)
    ),
    "hubmap-organ-segmentation": Signature(
        None, ("id", "rle"), None, ("train_images", "test_images", "train_annotations")
    ),
    "hubmap-hacking-the-human-vasculature": Signature(
        "vasculature",
        ("id", "height", "width", "prediction_string"),
        None,
        ("polygons.jsonl", "tile_meta.csv", "wsi_meta.csv"),
    ),
}
"""Kaggle's name -> what its folder looks like."""


def recognise(folder: Path) -> str | None:
    """Kaggle's name of the competition whose data a folder holds, None if it looks like none of them."""
    submission = set(header_of(folder / "sample_submission.csv"))
    train = set(header_of(folder / "train.csv"))
    for slug, signature in SIGNATURES.items():
        if submission == set(signature.columns):
            return slug
    for slug, signature in SIGNATURES.items():
        if signature.train_columns and train == set(signature.train_columns):
            return slug
    for slug, signature in SIGNATURES.items():
        if any((folder / entry).exists() for entry in signature.entries):
            return slug
    return None


def check_folder(report: Report, folder: Path, slug: str) -> bool:
    """Whether a folder is there and not another competition's; says what it is otherwise.

    Args:
        report: gets the error.
        folder: the data folder.
        slug: Kaggle's name of the competition it should hold.
    """
    if not folder.is_dir():
        report.error("data folder is missing", str(folder), f"unpack {slug} there, or change --data")
        return False
    found = recognise(folder)
    if found == slug:
        return True
    if found is not None:
        name = SIGNATURES[found].name
        instead = f"use --competition {name}, or " if name else ""
        report.error(
            f"this looks like the data of {found}, not of {slug}",
            str(folder),
            f"{instead}point --data elsewhere",
        )
        return False
    inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and recognise(entry) == slug]
    if inner:
        report.error(f"the data of {slug} lies one folder deeper", str(folder), f"use --data {inner[0]}")
        return False
    own = SIGNATURES[slug]
    known = ["sample_submission.csv", *(["train.csv"] if own.train_columns else []), *own.entries]
    report.error(
        f"this is not the data of {slug}: neither the columns nor the files of that competition are here",
        str(folder),
        f"point --data to the folder that holds {', '.join(known)}",
    )
    return False
