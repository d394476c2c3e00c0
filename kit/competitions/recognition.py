"""Tell which competition's data a folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kit.competitions.definition import Definition
from kit.competitions.listing import has_columns
from kit.competitions.report import Report
from kit.competitions.tables import header_of

_ENOUGH = 5
_COMMON = {"train", "test", "train.csv", "test.csv", ""}
"""Names in the folders of many competitions; they tell nothing."""


@dataclass(frozen=True)
class Signature:
    """What distinguishes a competition's folder from others.

    Attributes:
        name: short name of the competition.
        slug: Kaggle's name.
        columns: header of its sample submission.
        truth: table with the truth and the columns it has to have; None if the truth is no table.
        marks: files or folders that only this competition has.
        images: folder of the images to predict; counts only for a competition without marks.
        sample: path of the sample submission.
    """

    name: str
    slug: str
    columns: tuple[str, ...]
    truth: tuple[str, frozenset[str]] | None
    marks: tuple[str, ...]
    images: str
    sample: str

    def evidence(self, folder: Path) -> int:
        """Return how much a folder looks like this competition's, from 0 (not at all) to 7."""
        # Columns of the sample submission: 4 points, of the table with the truth: 2, a mark: 1. So each
        # counts more than all weaker ones together: a folder with kidney's sample_submission.csv is kidney's,
        # even if somebody copied body's train.csv and train_annotations/ into it (4 points to 3).
        marked = any((folder / mark).exists() for mark in self.marks)
        if not self.marks:
            marked = bool(self.images) and (folder / self.images).is_dir()
        table, columns = self.truth or ("", frozenset())
        in_table = bool(columns) and columns <= set(header_of(folder / table))
        in_sample = has_columns(folder / self.sample, self.columns)
        return 4 * in_sample + 2 * in_table + marked


def signature(definition: Definition) -> Signature:
    """Return the signature of a competition."""
    truth, metadata = definition.truth, definition.metadata
    patterns = (definition.images.train, definition.images.test, truth.file, metadata.train, metadata.test)
    tops = [_top(path) for path in (*patterns, *definition.marks)]
    return Signature(
        name=definition.name,
        slug=definition.slug,
        columns=definition.columns,
        truth=(truth.file, frozenset({truth.id, truth.mask})) if truth.form == "text" else None,
        sample=definition.submission.sample,
        marks=tuple(dict.fromkeys(top for top in tops if top not in _COMMON)),
        images=_top(definition.images.test),
    )


def recognise(folder: Path, signatures: Sequence[Signature]) -> Signature | None:
    """Return the signature with the most evidence (the first of equals); None if no one has any.

    The first one needs no more than the sample submission and one more sign: many competitions have tables
    with id and rle.
    """
    evidence = [candidate.evidence(folder) for candidate in signatures]
    if evidence and evidence[0] >= _ENOUGH:
        return signatures[0]
    best = max(evidence, default=0)
    return signatures[evidence.index(best)] if best else None


def check_folder(report: Report, folder: Path, own: Signature, others: Mapping[str, Signature]) -> bool:
    """Return whether a folder holds a competition's data; if not, report what it holds instead.

    Args:
        report: gets the error.
        folder: the data folder.
        own: signature of the competition it should hold.
        others: signatures of the known competitions by name; one with the same slug shares the data.
    """
    if not folder.is_dir():
        report.error("data folder is missing", str(folder), f"unpack {own.slug} there, or change --data")
        return False
    # A variant (`like = "body"`) has the same slug and data as the original: do not compare with it.
    signatures = [own, *(other for other in others.values() if other.slug != own.slug)]
    found = recognise(folder, signatures)
    if found == own:
        return True
    if found is not None:
        report.error(
            f"this looks like the data of {found.slug}, not of {own.slug}",
            str(folder),
            f"use --competition {found.name}, or point --data elsewhere",
        )
        return False
    inner = [
        entry for entry in sorted(folder.iterdir()) if entry.is_dir() and recognise(entry, signatures) == own
    ]
    if inner:
        report.error(f"the data of {own.slug} is one folder deeper", str(folder), f"use --data {inner[0]}")
        return False
    known = dict.fromkeys((own.sample, own.truth[0] if own.truth else "", *own.marks, own.images))
    report.error(
        f"this is not the data of {own.slug}: its files and their columns are not here",
        str(folder),
        f"point --data to the folder with {', '.join(name for name in known if name)}",
    )
    return False


def _top(path: str) -> str:
    """Return the first part of a path: "train" of "train/{id}.tif"; empty if it contains the id."""
    first = PurePosixPath(path).parts[:1]
    return first[0] if first and "{" not in first[0] else ""
