"""What the gateway's calls reach: it answers each in time, whatever has become of the rest."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from kit.competitions.folder import CompetitionFolder
from kit.competitions.server import server_of
from kit.errors import KitError
from submission.runtime.result.report import RunReport, counted
from submission.runtime.result.submission_file import guess_sizes
from submission.runtime.server.calls import Batch, answer_columns, read_call
from submission.runtime.server.journal import Journal
from submission.runtime.server.package import frame
from submission.runtime.server.shares import limit, margin, share

_KEPT = 16
"""Answers that are kept for a gateway that asks again."""

Rows = Mapping[str, Sequence[Mapping[str, str]]]
"""Image -> its rows in the submission."""


@dataclass(frozen=True)
class Call:
    """A call that waits for the engine.

    Attributes:
        number: of the call, from 1.
        batch: its images.
        begin: monotonic time at which it came.
        share: seconds of the run that it may take, from the moment at which its first pass can start.
        last: monotonic time at which it is answered with what there is.
        late: monotonic time from which on nobody waits for the answer.
        rows: the engine's answer.
    """

    number: int
    batch: Batch
    begin: float
    share: float
    last: float
    late: float
    rows: Future[Rows] = field(default_factory=Future)


class Endpoint:
    """Answers calls: with the engine's rows, and with fallback rows where there are none in time.

    Args:
        competition: knows rows, and what calls bring.
        journal: of the run.
        report: records what happens.
        budget: seconds that the run may take for its calls.
        images: that all calls together bring, as far as it is known.

    Attributes:
        calls: for the engine.
        predicted: number of rows that were predicted.
    """

    # The server has one thread, but a gateway that lost its connection asks again while the first call is
    # still being answered. The lock lets the second wait; then it finds the answer among those that are kept.
    def __init__(
        self,
        competition: CompetitionFolder,
        journal: Journal,
        report: RunReport,
        *,
        budget: float,
        images: int,
    ) -> None:
        self.competition, self.journal, self.report = competition, journal, report
        self.budget, self.images = budget, images
        self.server = server_of(competition.format)
        self.calls: SimpleQueue[Call] = SimpleQueue()
        self.predicted = 0
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, dict[str, list[Any]]] = OrderedDict()
        self._number = 0
        self._answered = 0.0

    def function(self) -> Callable[..., Any]:
        """Return the function that the inference server calls; the gateway knows it by its name."""

        def predict(*values: Any, **named: Any) -> Any:
            return frame(self.server.answer, self.answer([*values, *named.values()]))

        predict.__name__ = self.server.endpoint
        return predict

    def answer(self, values: list[Any]) -> dict[str, list[Any]]:
        """Return the columns of the answer to a call.

        Raises:
            KitError: the call does not bring what the definition says, so that not even its ids are known.
        """
        begin = time.monotonic()
        try:
            batch = read_call(self.competition.format, self.server, values)
        except KitError as error:
            self.report.problem(str(error))
            raise
        with self._lock:
            kept = self._answers.get(batch.key)
            if kept is not None:
                self.report.event("asked again", rows=len(batch.asked))
                return kept
            columns = self._answer(batch, begin)
            self._answers[batch.key] = columns
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return columns

    def _answer(self, batch: Batch, begin: float) -> dict[str, list[Any]]:
        call = self._call(batch, begin)
        self.calls.put(call)
        rows: Rows = {}
        problem = "its time was up"
        try:
            rows = call.rows.result(max(0.0, call.late - time.monotonic()))
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - a call is answered whatever happens
            problem = f"{type(error).__name__}: {error}"
        images = list(batch.files)
        if missing := [image for image in images if image not in rows]:
            told = counted(len(missing), "image")
            self.report.problem(f"call {call.number}: the fallback for {told}: {problem}")
            sizes = guess_sizes(missing, {})
            fallback = {image: self.competition.empty_rows(image, sizes[image], {}) for image in missing}
            rows = {**rows, **fallback}
        end = time.monotonic()
        outside = begin - self._answered if self._answered else 0.0
        self.journal.progress.note(len(images), end - begin, outside)
        self._answered = end
        return answer_columns(self.competition.format, self.server, batch, rows)

    def _call(self, batch: Batch, begin: float) -> Call:
        self._number += 1
        left = self.journal.start + self.budget - begin
        progress = self.journal.progress
        seconds = limit(self.server.deadline, left, first=self._number == 1)
        return Call(
            number=self._number,
            batch=batch,
            begin=begin,
            share=min(share(len(batch.files), progress, left=left, expected=self.images), seconds),
            last=begin + seconds,
            late=begin + seconds + margin(self.server.deadline) / 2,
        )
