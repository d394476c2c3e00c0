"""The file submission.csv: valid from the first seconds on, and replaced only by a better one.

Importing this needs no numpy.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.artefacts import read_json, write_bytes
from kit.competitions.folder import CompetitionFolder
from kit.competitions.listing import Listing
from kit.competitions.report import Report
from kit.errors import KitError
from kit.optional import optional_module
from submission.runtime.script.process import ask_all, within

if TYPE_CHECKING:
    from kit.competitions.competition import Competition

MISSING = "image is missing"
_UNKNOWN_SIZE = (512, 512)
SILENCE = 20.0
"""Seconds; some mounts need several for a first byte."""
_MOST_PIXELS = 10**11
"""Of an image. The largest slides have a twentieth of it; a header that tells more is damaged."""

Size = tuple[int, int]


def image_sizes(
    competition: CompetitionFolder,
    data: Path,
    ids: Sequence[str],
    *,
    limit: float | None = None,
    silence: float = SILENCE,
) -> tuple[dict[str, Size], dict[str, str]]:
    """Read the sizes of the test images from their headers, several at a time.

    Args:
        competition: knows where images lie.
        data: its folder.
        ids: of the images.
        limit: seconds for all of them, because a dead mount lets a reader wait for ever; None: no limit.
        silence: seconds without any answer after which a mount counts as dead.

    Returns:
        id -> (height, width), and id -> why the image cannot be read.
    """
    silence = min(silence, limit or silence)
    answers = ask_all(ids, lambda image: _size_or_reason(competition, data, image), silence, limit)
    late = f"its header was not read within {silence:g} s"
    found = {image: answers.get(image, late) for image in ids}
    sizes = {image: answer for image, answer in found.items() if not isinstance(answer, str)}
    return sizes, {image: answer for image, answer in found.items() if isinstance(answer, str)}


def _size_or_reason(competition: CompetitionFolder, data: Path, image: str) -> Size | str:
    try:
        path = competition.image_path(data, image, "test")
        if not path.exists():
            return MISSING
        header = competition.reading.facts(path)
    except KitError as error:
        return error.problem
    except Exception as error:  # noqa: BLE001 - one odd file costs its row, never the run
        return f"{type(error).__name__}: {error}"
    if not 0 < header.height * header.width <= _MOST_PIXELS:
        return f"its header tells {header.height} x {header.width} pixels, which no image has"
    return header.height, header.width


def guess_sizes(ids: Sequence[str], sizes: Mapping[str, Size]) -> dict[str, Size]:
    """Return sizes of all ids; an image that cannot be read gets the size that occurs most often."""
    # Sizes (5, 5), (7, 7), (7, 7) and one unreadable image: it gets (7, 7). Its row is empty in any case.
    counts = Counter(sizes.values())
    guess = max(sorted(counts), key=counts.__getitem__) if counts else _UNKNOWN_SIZE
    return {image: sizes.get(image, guess) for image in ids}


def csv_text(
    competition: CompetitionFolder,
    listing: Listing,
    sizes: Mapping[str, Size],
    rows: Mapping[str, Path],
) -> str:
    """Return the CSV with the given rows, and the fallback row for all other ids.

    Args:
        competition: knows the columns.
        listing: the ids in the order of the file, and the rows of the sample submission.
        sizes: of every id.
        rows: id -> JSON file with its rows.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, competition.columns, lineterminator="\n")
    writer.writeheader()
    forms = None if competition.format.plain else competition.forms
    sample = {} if forms is None else forms.by_key(competition.format, listing)
    made: list[dict[str, str]] = []
    for image in listing.ids:
        known = image in rows
        made += read_json(rows[image]) if known else competition.empty_rows(image, sizes[image], sample)
    writer.writerows(made if forms is None else forms.ordered(competition.format, made, sample))
    return stream.getvalue()


def file_content(competition: CompetitionFolder, text: str) -> bytes:
    """Return the bytes of a submission, whose text is a CSV, in the format that the competition wants."""
    if not competition.format.submission.file.endswith(".parquet"):
        return text.encode()
    made: bytes = optional_module("kit.competitions", "parquet_tables").encoded(text, competition.format)
    return made


def make_way(path: Path) -> str | None:
    """Rename a folder that has the place of a file; return a note on it."""
    if path.is_symlink() or not path.is_dir():
        return None
    aside = path.with_name(f"{path.name}.folder-{time.time_ns()}")
    path.rename(aside)
    return f"{path.name} was a folder; it is called {aside.name} now"


@dataclass
class Submission:
    """The file and what it holds.

    Attributes:
        competition: knows rows and rules.
        ids: in the order of the file.
        sizes: of every id; a guess where the image cannot be read.
        path: of submission.csv, or of submission.parquet.
        sample: the rows of the sample submission, where images have several, or values.
        state: what the file holds: "none", "fallback", "part of rung 1", "rung 2".
        origins: id -> what its row comes from: "fallback", "rung 2".
    """

    competition: Competition
    ids: Sequence[str]
    sizes: Mapping[str, Size]
    path: Path
    sample: Listing = field(default_factory=Listing)
    state: str = "none"
    origins: dict[str, str] = field(default_factory=dict)

    def text(self, rows: Mapping[str, Path]) -> str:
        """Return the CSV with the given rows (id -> JSON file), and the fallback row for all other ids."""
        listing = replace(self.sample, ids=list(self.ids))
        return csv_text(self.competition, listing, self.sizes, rows)

    def write_fallback(self) -> None:
        """Write a valid file that predicts nothing, unless this very file is there.

        Raises:
            KitError: the folder cannot be written, or the file would not be valid.
        """
        data = file_content(self.competition, self.text({}))
        if not self.path.is_file() or self.path.read_bytes() != data:
            write_bytes(self.path, data)
        self.state = "fallback"
        self.origins = dict.fromkeys(self.ids, "fallback")
        if self.ids:
            self.competition.validate(self.path, self.ids, dict(self.sizes)).require_ok()

    def replace(self, text: str, state: str, origins: Mapping[str, str], *, in_place: bool = False) -> None:
        """Replace the file by a better one.

        Args:
            text: of the new file, as a CSV that was validated.
            state: what it holds.
            origins: id -> what its row comes from; rows of other ids are the fallback.
            in_place: if there is no room for both, write over the old file.

        Raises:
            KitError: it cannot be written; the old file is unchanged.
        """
        data = file_content(self.competition, text)
        try:
            write_bytes(self.path, data)
        except KitError:
            if not in_place or not self._overwrite(data):
                raise
        self.state = state
        self.origins = {image: origins.get(image, "fallback") for image in self.ids}

    def _overwrite(self, data: bytes) -> bool:
        """Write over the file. Return False, with the file unchanged, if it has no room to grow."""
        if self.path.is_symlink() or not self.path.is_file():
            return False
        old = self.path.read_bytes()
        try:
            with self.path.open("ab") as stream:  # first what needs more room
                stream.write(data[len(old) :])
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            os.truncate(self.path, len(old))
            return False
        with self.path.open("r+b") as stream:
            stream.write(data[: len(old)])
        os.truncate(self.path, len(data))
        return True

    def validate_within(self, candidate: Path, seconds: float) -> Report | None:
        """Validate a file, but wait for the result no longer than the given seconds.

        Returns:
            The report, None if it was not ready in time.
        """
        # In a thread, because a validation cannot be interrupted; one that is late is left behind.
        try:
            return within(seconds, lambda: self.competition.validate(candidate, self.ids, dict(self.sizes)))
        except TimeoutError:
            return None
