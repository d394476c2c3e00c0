"""The supervisor: owns the clock and the submission, gives tasks to workers, ends in time.

It imports neither torch nor the bundle's libraries, reads no image beyond its header, and waits for nothing
without a limit.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from kit.errors import KitError
from kit.plan.changes import BringBack, Decision, LeaveOut, StartRung
from kit.plan.costs import reserve_seconds
from kit.plan.disk_space import DiskSpace
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Resources
from kit.plan.set_aside import pending
from kit.plan.state import LadderState
from submission.runtime.inputs.competition_data import Data, Listed, embedded, find_data
from submission.runtime.inputs.import_check import ImportCheck
from submission.runtime.inputs.install import offline_environment
from submission.runtime.inputs.package_plan import make_plan, needed_by
from submission.runtime.inputs.preparation import Preparation
from submission.runtime.inputs.scratch import Scratch, choose_scratch, space_needed
from submission.runtime.result import wording
from submission.runtime.result.publishing import Publisher
from submission.runtime.result.report import RunReport
from submission.runtime.result.summary import Outcome
from submission.runtime.script.options import Options
from submission.runtime.script.process import STOP, within
from submission.runtime.script.script import Script
from submission.runtime.work.dispatch import Dispatch
from submission.runtime.work.preparation_events import PreparationEvents
from submission.runtime.work.processes import WorkerProcesses, worker_command
from submission.runtime.work.replies import ReplyHandler
from submission.runtime.work.requests import Requests
from submission.runtime.work.workers import Workers

_LONGEST_KILL = 2.0
_LONGEST_STOP = 10.0
"""Seconds for the last file, after a signal."""
_TICK = 0.25
_TICK_WHILE_PREPARING = 0.02
"""Seconds that the loop waits for a message."""


class Supervisor:
    """Predicts all images once.

    Args:
        script: the running predict.py.
        options: of the command line.
        report: with the clock of the process.
        listed: the images to predict; their fallback is written.

    Attributes:
        scratch: the folder for temporary files; None before it is chosen.
    """

    def __init__(self, script: Script, options: Options, report: RunReport, listed: Listed) -> None:
        self.options, self.report, self.listed = options, report, listed
        self.ensemble, self.manifests = embedded(script)
        # A budget of 3600 s and a reserve of 60 s, in seconds since the process started:
        #     0 to 3540        fallback at once, then the loop: messages, events, new tasks
        #     3540 deadline    the loop ends, the workers are killed
        #     3540 to 3600     the best complete rung is validated, for 30 s at most, and written
        self.end = report.start + options.budget
        self.deadline = self.end - reserve_seconds(options.budget, self.ensemble.reserve_seconds)
        self.plan = make_plan(needed_by(self.ensemble), self.manifests)
        self.script = script
        self.scratch: Scratch | None = None

    def begin(self) -> None:
        """Read the images' headers, complete the fallback, start the workers and the preparation.

        Raises:
            KitError: no temporary file can be written.
        """
        self.data = find_data(self.ensemble, self.options, self.listed)
        _complete_fallback(self.data, self.report, len(self.listed.listing.notes))
        self.start(self.data)

    def start(self, data: Data) -> None:
        """Make the parts that last as long as the run; start the workers and the preparation."""
        scratch = self._choose_scratch(data)
        folder = scratch.folder
        site = folder / "site"
        environment = offline_environment(os.environ, folder, site)
        script = self.script.as_file(folder)
        self.workers = Workers(
            WorkerProcesses(worker_command(script), environment, folder),
            self.report,
            device=self.options.device,
            count=self.options.workers,
            largest_weights=max(member.size for member in self.ensemble.members),
            environment=os.environ,
        )
        self.take(data, folder)
        self.preparation = Preparation(
            self.ensemble,
            self.manifests,
            self.plan,
            root=self.options.input,
            site=site,
            scratch=folder,
            timeout=max(1.0, self.options.budget / 4),
            start_check=lambda file: ImportCheck(
                [sys.executable, str(script), "--check-imports"], environment, file
            ),
        )
        self.events = PreparationEvents(
            self.preparation,
            self.plan,
            ladder=self.ladder,
            requests=self.requests,
            workers=self.workers,
            report=self.report,
        )
        self._worker_count = max(1, self.workers.size)
        self.scratch = scratch
        if not self.plan.replaces:
            self.workers.start()  # torch is the image's: workers import it while the bundle is still searched
        self.preparation.start(data.folder)

    def take(self, data: Data, folder: Path) -> None:
        """Make the parts that know the images; their results lie in this folder."""
        self.state = LadderState(self.ensemble, data.megapixels)
        self.policy = chosen_policy(self.ensemble)
        self.ladder = Ladder(self.state, self.policy, self._measure, self._on_decision)
        self.requests = Requests(self.state, data, folder, self.options.batch_size)
        self.publisher = Publisher(self.state, data.submission, self.report, scratch=folder, until=self.end)
        self.dispatch = Dispatch(self.ladder, self.publisher, self.requests, self.workers)
        self.replies = ReplyHandler(self.ladder, self.requests, self.publisher, self.report, self.deadline)

    def _choose_scratch(self, data: Data) -> Scratch:
        results = DiskSpace(self.ensemble, data.megapixels).all_maps(data.paths)
        weights = [entry for item in self.manifests for entry in item.files if entry.role == "weights"]
        chosen = choose_scratch(space_needed([*self.plan.wheels, *weights], results), self.options.output)
        self.report.values["scratch"] = str(chosen.folder)
        if chosen.note is not None:
            self.report.problem(chosen.note)
        return chosen

    def _measure(self) -> Resources:
        free = shutil.disk_usage(self.requests.scratch).free - self.events.to_unpack()
        left = self.deadline - time.monotonic()
        return Resources(left, free, self._worker_count, silence=self.options.longest_silence)

    def _on_decision(self, decision: Decision) -> None:
        if isinstance(decision, StartRung) and decision.seconds is not None:
            self.report.say(wording.rung_begins(decision, self.deadline - time.monotonic()))
        if isinstance(decision, BringBack):
            self.report.say(wording.trying_again(decision.item, self.ensemble))
        # The image loses a pass because the disk has no room for its result.
        if isinstance(decision, LeaveOut):
            follows = wording.what_follows(decision, self.ensemble, self.state.rungs.rows)
            self.report.problem(wording.no_room(decision, follows), stage=decision.stage)
            self.replies.setbacks[decision.image] = decision.reason

    def work(self) -> None:
        """Give out tasks until all is done or the time is up."""
        while not STOP.requested and (left := self.deadline - time.monotonic()) > 0:
            # Events of the preparation do not wake `poll`: wait only briefly until the preparation has ended.
            tick = _TICK if self.events.finished else _TICK_WHILE_PREPARING
            for received in self.workers.poll(min(tick, left)):
                self.replies.handle(received)
            self.events.handle_all()
            self._replace_stalled()
            # This order matters: a row that just arrived may complete a rung, whose validation goes out
            # before more passes; deleting comes after the new tasks have taken what they read.
            self.publisher.compose()
            self._give_out_tasks()
            _delete_obsolete(self.state)
            if self._over():
                return
        self.report.event("stopped" if STOP.requested else "deadline")
        self.report.say(wording.STOPPED if STOP.requested else wording.TIME_IS_UP)

    def _replace_stalled(self) -> None:
        """Replace silent workers. Another worker tries a pass that hung once more, with a batch of one."""
        # First the task fails, then the worker goes: the task is queued again before a new worker can ask.
        for worker in self.workers.stalled(self.options.longest_silence):
            self.replies.fail(worker, "stall", wording.silent(self.options.longest_silence))
            self.workers.replace(worker)

    def _give_out_tasks(self) -> None:
        if not self.events.installed:
            return
        self._worker_count = max(1, self.workers.wanted)
        self.dispatch.give_out()

    def _over(self) -> bool:
        if self.workers.broken is not None and self.events.installed:
            return True
        if self.state.losses.all_members_gone:
            return True
        if not self.state.live_images() and not pending(self.state):
            # A commit run without images still shows whether the bundle is whole and torch works.
            return not self.data.placeholder or (self.events.finished and bool(self.workers.processes.idle()))
        idle = not self.publisher.validations and not self.workers.processes.busy()
        return self.events.finished and idle and self.ladder.exhausted

    def finish(self) -> None:
        """End all processes and write the best that is complete."""
        self.end_processes()
        if STOP.requested:  # who sends a signal waits some seconds, then kills
            self.publisher.until = min(self.publisher.until, time.monotonic() + _LONGEST_STOP)
        self.publisher.finish(self.requests.result_folders)

    def end_processes(self) -> None:
        """Kill the workers and the installer; one that does not end costs no row."""
        if self.scratch is None:
            return
        for close in (self.workers.processes.kill_all, self.preparation.end):
            try:
                within(_LONGEST_KILL, close)
            except Exception as error:  # noqa: BLE001 - see above
                self.report.problem(wording.process_left(error))

    @property
    def predicted(self) -> bool:
        """Whether the file holds a predicted row."""
        return self.scratch is not None and self.publisher.published >= 0

    def outcome(self) -> Outcome:
        """Return what the run came to."""
        # A refused file explains more than a worker that died, and that more than a failed installation.
        failure = self.publisher.failure or self.workers.broken or self.events.failure
        return Outcome(
            ensemble=self.ensemble,
            state=self.state,
            choices=self.policy.choices,
            submission=self.data.submission,
            unreadable=self.data.unreadable,
            budget=self.options.budget,
            workers=self._worker_count,
            forward_seconds=self.replies.forward_seconds,
            published=self.publisher.published,
            setbacks=self.replies.setbacks,
            failure=None if failure is None else str(failure),
            stopped=STOP.requested,
            installed=self.events.installed,
            placeholder=self.data.placeholder,
        )


def _delete_obsolete(state: LadderState) -> None:
    """Delete results that no rung needs any more."""
    for file in state.stored.obsolete:
        Path(file).unlink(missing_ok=True)
    state.stored.obsolete.clear()


def _complete_fallback(data: Data, report: RunReport, told: int) -> None:
    """Write the sizes that only the images tell; report what is wrong, but not the notes told before."""
    try:
        data.submission.write_fallback()
    except KitError as error:  # the first fallback stays
        report.problem(str(error))
    report.event("headers", images=len(data.paths))
    report.say(wording.headers_read(len(data.paths), sum(data.megapixels.values())))
    for note in data.notes[told:]:
        report.problem(note)
    for image, reason in data.unreadable.items():
        report.problem(wording.fallback_row(image, reason), image=image)
    report.save()
