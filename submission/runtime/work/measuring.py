"""Measures passes after a run, with workers, requests and replies of its own."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from kit.plan.changes import LoseMember
from kit.plan.ladder import Ladder
from kit.plan.measure_all import MeasureAll, order_of
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from submission.runtime.inputs.known_images import choose, repeated
from submission.runtime.result import wording
from submission.runtime.result.publishing import Publisher
from submission.runtime.result.report import RunReport
from submission.runtime.script.process import STOP, within
from submission.runtime.work.device import memory_kills
from submission.runtime.work.dispatch import Dispatch
from submission.runtime.work.processes import WorkerProcesses
from submission.runtime.work.replies import ReplyHandler
from submission.runtime.work.requests import Requests
from submission.runtime.work.supervisor import Supervisor
from submission.runtime.work.workers import Workers

_EACH = 4
"""Images for each worker."""
_LONGEST_LOOK = 60.0
"""Seconds for choosing training images."""
_TICK = 0.25
"""Seconds that the loop waits for a message."""


class _Silent(RunReport):
    """A report that is kept apart from that of the run, and not printed."""

    def say(self, text: str) -> None:
        """Print nothing."""
        del text


class Measuring:
    """Runs passes over known images.

    Args:
        supervisor: its run is over.
        until: monotonic time at which measuring ends.

    Attributes:
        workers: of the measuring alone; whoever calls `run` ends them.
        megapixels: of each image under the id that it has here.
        images: how many different ones are measured on.
        report: of what is done here.
        seconds: that measuring took.
        ran_out: memory ran out.
    """

    def __init__(self, supervisor: Supervisor, until: float) -> None:
        old = supervisor.workers
        self.supervisor, self.until = supervisor, until
        self.silence = supervisor.options.longest_silence
        self.folder = supervisor.requests.scratch / "dry"
        self.folder.mkdir()
        self.report = _Silent(supervisor.report.start)
        self.workers = Workers(
            WorkerProcesses(old.processes.command, old.processes.environment, self.folder),
            self.report,
            device=old.device,
            count=old.count,
            largest_weights=old.largest_weights,
            environment=os.environ,
        )
        self.megapixels: dict[str, float] = {}
        self.images = 0
        self.seconds = 0.0
        self.ran_out = False

    def run(self) -> None:
        """Measure until all is measured or the time is up.

        Raises:
            KitError: there is no image to measure on.
            TimeoutError: the mount does not answer.
        """
        begin, kills = time.monotonic(), memory_kills()
        self.workers.start()
        self._connect(max(1, self.workers.wanted))
        while not STOP.requested and (left := self.until - time.monotonic()) > 0:
            for received in self.workers.poll(min(_TICK, left)):
                self.replies.handle(received)
            for worker in self.workers.stalled(self.silence):
                self.replies.fail(worker, "stall", wording.silent(self.silence))
                self.workers.replace(worker)
            self.dispatch.give_out()
            for file in self.state.stored.obsolete:
                Path(file).unlink(missing_ok=True)
            self.state.stored.obsolete.clear()
            busy = self.workers.processes.busy()
            if self.workers.broken is not None or (self.ladder.exhausted and not busy):
                break
        self.seconds = time.monotonic() - begin
        tasks = self.report.values.get("tasks", ())
        self.ran_out = memory_kills() > kills or any(task.get("failed") == "memory" for task in tasks)

    def _connect(self, workers: int) -> None:
        """Choose the images, and make the parts that need to know them."""
        before, ensemble = self.supervisor, self.supervisor.ensemble
        chosen = within(_LONGEST_LOOK, lambda: choose(before.data, _EACH * workers))
        data = repeated(before.data, chosen, _EACH * workers, self.folder)
        self.images, self.megapixels = len(chosen), data.megapixels
        self.state = LadderState(ensemble, self.megapixels)
        for member, reason in before.state.losses.members.items():
            self.state.apply(LoseMember(member, reason))
        self.state.ready |= before.requests.weights.keys()
        policy = MeasureAll(order_of(ensemble, list(data.paths), workers))
        self.ladder = Ladder(self.state, policy, self._measure)
        requests = Requests(self.state, data, self.folder, before.options.batch_size)
        requests.weights |= before.requests.weights
        publisher = Publisher(self.state, data.submission, self.report, scratch=self.folder, until=self.until)
        self.dispatch = Dispatch(self.ladder, publisher, requests, self.workers)
        self.replies = ReplyHandler(self.ladder, requests, publisher, self.report, self.until)

    def _measure(self) -> Resources:
        free = shutil.disk_usage(self.folder).free
        left = self.until - time.monotonic()
        return Resources(left, free, max(1, self.workers.wanted), silence=self.silence)
