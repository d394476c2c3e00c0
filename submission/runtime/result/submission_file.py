"""The file submission.csv: valid from the first seconds on, and replaced only by a better one."""

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
    """Read the sizes of the test images from their headers, several at a time.

    Args:
        competition: knows where images lie.
        data: its folder.
        ids: of the images.
        limit: seconds for all of them, because a dead mount lets a reader wait for ever; None: no limit.

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
    threads = ThreadPoolExecutor(_THREADS)
    futures = {image: threads.submit(look, image) for image in ids}
    finished, _ = wait(futures.values(), timeout=limit)
    threads.shutdown(wait=False, cancel_futures=True)
    for image, future in futures.items():
        result = future.result() if future in finished else f"its header was not read within {limit:g} s"
        if isinstance(result, str):
            unreadable[image] = result
        else:
            sizes[image] = result
    return sizes, unreadable


@dataclass
class Submission:
    """The file and what it holds.

    Attributes:
        competition: knows rows and rules.
        ids: in the order of the file.
        sizes: of every id; a guess where the image cannot be read.
        path: of submission.csv.
        state: what the file holds: "none", "fallback", "part of rung 1", "rung 2".
        origins: id -> what its row comes from: "fallback", "rung 2".
    """

    competition: Competition
    ids: Sequence[str]
    sizes: Mapping[str, Size]
    path: Path
    state: str = "none"
    origins: dict[str, str] = field(default_factory=dict)

    def text(self, rows: Mapping[str, Path]) -> str:
        """Return the CSV with the given rows, and the fallback row for all other ids.

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
        """Write a valid file that predicts nothing.

        Raises:
            KitError: the folder cannot be written, or the file would not be valid.
        """
        write_text(self.path, self.text({}))
        self.competition.validate(self.path, self.ids, dict(self.sizes)).require_ok()
        self.state = "fallback"
        self.origins = dict.fromkeys(self.ids, "fallback")

    def replace(self, text: str, state: str, origins: Mapping[str, str]) -> None:
        """Replace the file by a better one.

        Args:
            text: of the new file, already validated.
            state: what it holds.
            origins: id -> what its row comes from; rows of other ids are the fallback.

        Raises:
            KitError: it cannot be written; the old file is unchanged.
        """
        write_text(self.path, text)
        self.state = state
        self.origins = {image: origins.get(image, "fallback") for image in self.ids}

    def validate_within(self, candidate: Path, seconds: float) -> Report | None:
        """Validate a file, but wait for the result no longer than the given seconds.

        Returns:
            The report, None if it was not ready in time.
        """
        # In a thread, because a validation cannot be interrupted; one that is late is left behind.
        results: list[Report] = []

        def work() -> None:
            results.append(self.competition.validate(candidate, self.ids, dict(self.sizes)))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(max(seconds, 0.0))
        return results[0] if results else None


def guess_sizes(ids: Sequence[str], sizes: Mapping[str, Size]) -> dict[str, Size]:
    """Return sizes of all ids; an image that cannot be read gets the size that occurs most often."""
    # Sizes (5, 5), (7, 7), (7, 7) and one unreadable image: it gets (7, 7). Its row is empty in any case.
    known = list(sizes.values())
    guess = max(sorted(set(known)), key=known.count) if known else _UNKNOWN_SIZE
    return {image: sizes.get(image, guess) for image in ids}
