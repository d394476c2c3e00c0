"""Publishes the submission: each complete rung replaces submission.csv after it was validated.

A row that an image lacks in a rung is taken from the highest lower rung. Where rows of different rungs may
stand in one file, the last file also has the rows of a rung that was not completed.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from kit.artefacts import write_text
from kit.errors import KitError
from kit.plan.state import LadderState
from kit.plan.tasks import ValidateTask
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.result.submission_file import Submission
from submission.runtime.script.process import within


class Publisher:
    """Replaces the submission rung by rung.

    Args:
        state: of the ladder; has the rows.
        submission: the file.
        report: records what is published.
        scratch: folder for files before they are validated.
        until: monotonic time at which the process has to have ended.

    Attributes:
        validations: tasks for workers.
        published: index of the rung in submission.csv, -1 for none.
        failure: why submission.csv could not be replaced.
    """

    def __init__(
        self, state: LadderState, submission: Submission, report: RunReport, *, scratch: Path, until: float
    ) -> None:
        self.state, self.submission, self.report = state, submission, report
        self.scratch, self.until = scratch, until
        self.validations: deque[ValidateTask] = deque()
        self.published = self._composed = -1
        self._made_of: dict[int, dict[str, tuple[int, int]]] = {}
        self.failure: KitError | None = None

    def compose(self) -> None:
        """Write the file of every rung that got complete, and queue its validation."""
        # Every image has its row of rung 1 -> rung1.csv on scratch -> a worker validates it ->
        # submission.csv. A worker does it because a file of 1000 images takes seconds, in which the loop
        # would be deaf.
        for rung in sorted(self.state.rungs.started):
            if rung <= self._composed or not self._complete(rung):
                continue
            self._composed = rung
            self._made_of[rung] = self._sources(rung)
            file = self.scratch / f"rung{rung}.csv"
            try:
                write_text(file, self.submission.text(self._rows(rung)))
            except KitError as error:  # `finish` makes room and tries again
                self.report.problem(wording.rung_not_composed(rung, error.problem))
            else:
                self.validations.append(ValidateTask(rung, str(file)))

    def publish_validated(self, task: ValidateTask) -> None:
        """Publish a file that a worker found valid."""
        text = Path(task.file).read_text(encoding="utf-8")
        self._publish(task.rung, text, self._made_of[task.rung])

    def finish(self, results: list[Path]) -> None:
        """Publish the best complete rung, with the rows of later rungs where these may stand beside them.

        If no rung is complete, publish the rows that there are.

        Args:
            results: folders that nobody reads any more; they are deleted if a file has to be written, because
                they may fill the disk.
        """
        # Complete rungs whose validation did not come in time, best first: if the best is invalid, the next.
        late = [
            rung
            for rung in sorted(self.state.rungs.started, reverse=True)
            if rung > self.published and self._complete(rung)
        ]
        # Rows that came, or got better, after a second chance; of a rung that was not completed some images
        # have rows, e.g. 12 of 100.
        before = self.published
        best = late[0] if late else before
        part = self._unfinished(best)
        gained = before >= 0 and self._made_of.get(before) != self._sources(before)
        if late or before < 0 or gained or part is not None:
            with contextlib.suppress(TimeoutError):
                within((self.until - time.monotonic()) / 4, lambda: _delete(results))
        # Nothing published yet: rows of incomplete rungs, e.g. 12 of 100 images, are better than none. They
        # are of the first rung, or of later ones if its members were lost or its last image hangs.
        if part is not None:
            self._publish_late(part, part=True)
        while late and late[0] > self.published:
            self._publish_late(late.pop(0), part=False)
        if self.published < 0:
            rungs = sorted({rung for rung, _ in self.state.rungs.rows}, reverse=True)
            for rung in rungs if self.state.ensemble.rows_may_mix else rungs[-1:]:
                if self.published < 0:
                    self._publish_late(rung, part=True)
        elif gained and self.published == before:
            self._publish_late(before, part=False)

    def _complete(self, rung: int) -> bool:
        return self.state.settled(rung) and bool(self._rows(rung))

    def _unfinished(self, best: int) -> int | None:
        """Return a rung above the best complete one that has rows, if they may stand beside those."""
        if best < 0 or not self.state.ensemble.rows_may_mix:
            return None
        return max((rung for rung, _ in self.state.rungs.rows if rung > best), default=None)

    def _best_rows(self, rung: int) -> dict[str, tuple[int, str]]:
        rungs, ensemble = self.state.rungs, self.state.ensemble
        # Where rows may mix, an image that was quicker than the others has only the row of a later rung.
        highest = len(ensemble.rungs) - 1 if ensemble.rows_may_mix else rung
        found = {
            image: rungs.best_row(rung, image) or rungs.best_row(highest, image)
            for image in self.submission.ids
        }
        return {image: row for image, row in found.items() if row is not None}

    def _sources(self, rung: int) -> dict[str, tuple[int, int]]:
        """Return the rung and the number of passes that each row comes from."""
        fused_from = self.state.rungs.fused_from
        return {image: (row, fused_from[row, image]) for image, (row, _) in self._best_rows(rung).items()}

    def _rows(self, rung: int) -> dict[str, Path]:
        return {image: Path(file) for image, (_, file) in self._best_rows(rung).items()}

    def _publish(
        self, rung: int, text: str, sources: Mapping[str, tuple[int, int]], *, part: bool = False
    ) -> None:
        # A slow validation of a lower rung may end after that of a higher one.
        if rung < self.published:
            return
        # Better rows may have come since the file was composed: the report tells those that are in it.
        origins = {image: f"rung {lower + 1}" for image, (lower, _) in sources.items()}
        state = f"part of rung {rung + 1}" if part else f"rung {rung + 1}"
        try:
            self._put(text, state, origins)
        except KitError as error:
            self.failure = error
            self.report.problem(str(error))
            return
        self.published = rung
        self.report.event("rung", rung=rung, part=part, rows=len(origins))
        self.report.say(wording.rung_written(state, len(self.state.ensemble.rungs), len(origins)))
        self.report.save()

    def _put(self, text: str, state: str, origins: Mapping[str, str]) -> None:
        """Replace the file. On a full disk first the report makes room, then the old file does."""
        try:
            self.submission.replace(text, state, origins)
        except KitError:
            self.report.give_way()
            self.submission.replace(text, state, origins, in_place=True)

    def _publish_late(self, rung: int, *, part: bool) -> None:
        """Validate a file here, in half of the time that is left, and publish it unless it is invalid."""
        text, sources = self.submission.text(self._rows(rung)), self._sources(rung)
        candidate = self.scratch / "last.csv"
        validation = None
        try:
            write_text(candidate, text)
            validation = self.submission.validate_within(candidate, (self.until - time.monotonic()) / 2)
        except KitError as error:
            self.report.problem(wording.rung_not_validated(rung, error.problem))
        # Without a result the file is published all the same: the same code wrote the rungs that were valid.
        if validation is not None and not validation.ok:
            self.report.problem(wording.last_file_invalid(str(validation.findings[0])))
        else:
            self._publish(rung, text, sources, part=part)


def _delete(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
