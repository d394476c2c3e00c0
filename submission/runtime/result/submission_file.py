"""submission.csv: a valid file from the first seconds on, replaced only by a better one."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from kit.artefacts import read_json, write_text
from kit.competitions.competition import Competition
from kit.competitions.report import Report
from kit.errors import KitError
from kit.images.header import read_header, require_rgb8

NAME = "submission.csv"
_UNKNOWN_SIZE = (512, 512)
_THREADS = 16

Size = tuple[int, int]


def image_sizes(
    competition: Competition, data: Path, ids: Sequence[str], *, limit: float | None = None
) -> tuple[dict[str, Size], dict[str, str]]:
    """Sizes of the test images from their headers, several at a time.

    Args:
        competition: knows where images lie.
        data: its folder.
        ids: of the images.
        limit: seconds for all of them, as a mount may keep a reader waiting for good; None: no limit.

    Returns:
        id -> (height, width), and id -> why the image cannot be read.
    """

    def look(image: str) -> Size | str:
        try:
            header = read_header(competition.image_path(data, image, "test"))
            require_rgb8(header)
        except KitError as error:
            return error.problem
        except Exception as error:  # noqa: BLE001 - one odd file costs its row, never the run
            return f"{type(error).__name__}: {error}"
        return header.height, header.width

    sizes: dict[str, Size] = {}
    unreadable: dict[str, str] = {}
    pool = ThreadPoolExecutor(_THREADS)
    jobs = {image: pool.submit(look, image) for image in ids}
    finished, _ = wait(jobs.values(), timeout=limit)
    pool.shutdown(wait=False, cancel_futures=True)
    for image, job in jobs.items():
        result = job.result() if job in finished else f"its header was not read within {limit:g} s"
        if isinstance(result, str):
            unreadable[image] = result
        else:
            sizes[image] = result
    return sizes, unreadable


@dataclass
class Submission:
    """The file and what it is made of.

    Attributes:
        competition: knows rows and rules.
        ids: in the file's order.
        sizes: of every id; a guess where the image cannot be read.
        path: of submission.csv.
        state: "none", "fallback", "part of rung 1", "rung 2": what the file holds.
        origins: id -> where its row comes from.
    """

    competition: Competition
    ids: Sequence[str]
    sizes: Mapping[str, Size]
    path: Path
    state: str = "none"
    origins: dict[str, str] = field(default_factory=dict)

    def text(self, rows: Mapping[str, Path]) -> str:
        """The CSV with the given rows and the fallback for all other ids.

        Args:
            rows: id -> JSON file with its row.
        """
        stream = io.StringIO()
        writer = csv.DictWriter(stream, self.competition.columns, lineterminator="\n")
        writer.writeheader()
        for image in self.ids:
            if image in rows:
                writer.writerow(read_json(rows[image]))
            else:
                writer.writerow(self.competition.row(image, self.competition.empty(*self.sizes[image])))
        return stream.getvalue()

    def write_fallback(self) -> None:
        """Write a valid file that finds nothing.

        Raises:
            KitError: the folder cannot be written, or the file would not be valid.
        """
        write_text(self.path, self.text({}))
        self.competition.validate(self.path, self.ids, dict(self.sizes)).require_ok()
        self.state = "fallback"
        self.origins = dict.fromkeys(self.ids, "fallback")

    def replace(self, text: str, state: str, origins: Mapping[str, str]) -> None:
        """Put a better file in place of the old one.

        Args:
            text: of the file, already validated.
            state: what it holds.
            origins: id -> where its row comes from, for rows that are no fallback.

        Raises:
            KitError: it cannot be written; the old file is unchanged.
        """
        write_text(self.path, text)
        self.state = state
        self.origins = {image: origins.get(image, "fallback") for image in self.ids}

    def validate_within(self, candidate: Path, seconds: float) -> Report | None:
        """Validate a file, but for no longer than there is time.

        Args:
            candidate: the file.
            seconds: to wait for the result.

        Returns:
            The report, None if it was not done in time.
        """
        results: list[Report] = []

        def work() -> None:
            results.append(self.competition.validate(candidate, self.ids, dict(self.sizes)))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(max(seconds, 0.0))
        return results[0] if results else None


def guess_sizes(ids: Sequence[str], sizes: Mapping[str, Size]) -> dict[str, Size]:
    """Sizes of all ids: the commonest one stands in for images that cannot be read."""
    known = list(sizes.values())
    usual = max(sorted(set(known)), key=known.count) if known else _UNKNOWN_SIZE
    return {image: sizes.get(image, usual) for image in ids}
