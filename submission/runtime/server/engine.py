"""The supervisor of a server: its workers live as long as the run, and each call gets a ladder of its own."""

from __future__ import annotations

import shutil
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

from kit.competitions import of
from kit.competitions.definition import Split
from kit.competitions.folder import CompetitionFolder
from kit.competitions.listing import Listing
from kit.plan.policy import Resources
from submission.runtime.inputs.competition_data import Data, Listed, find_data
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.result.submission_file import Submission
from submission.runtime.result.summary import FALLBACK
from submission.runtime.script.options import Options
from submission.runtime.script.process import STOP
from submission.runtime.script.script import Script
from submission.runtime.server.endpoint import Call, Endpoint, Rows
from submission.runtime.server.within_share import WithinShare
from submission.runtime.work.supervisor import Supervisor

_TICK = 0.25
_TICK_WHILE_PREPARING = 0.02
"""Seconds between two looks at workers and preparation while no call waits."""
_STRIKES = 2
"""Calls in a row in which a member was dropped; then it is left out for the rest of the run."""
_MOST_PROBLEMS = 500
_MOST_TASKS = 2000
_SHORTEST_STALL = 3.0
"""Seconds; of a call of 20 s, a quarter: then there is time for another worker to start and to try."""
_PAUSE = 30.0
"""Seconds between two times that report.json is written."""


class CallReport(RunReport):
    """What happens in one call: it is not printed; new problems go to the report of the run.

    Args:
        whole: the report of the run.
        told: problems that were told before.
        call: number of the call.
    """

    def __init__(self, whole: RunReport, told: set[str], call: int) -> None:
        super().__init__(whole.start)
        self._whole, self._told, self._call = whole, told, call

    def say(self, text: str) -> None:
        """Keep silent."""

    def problem(self, what: str, **facts: object) -> None:
        """Tell a problem once."""
        if what not in self._told and len(self._told) < _MOST_PROBLEMS:
            self._told.add(what)
            self._whole.problem(what, call=self._call, **facts)


class _Images(CompetitionFolder):
    """The competition, in which each image of a call lies where the call says."""

    def __init__(self, competition: CompetitionFolder, paths: Mapping[str, Path]) -> None:
        super().__init__(competition.format, competition.definition)
        self._paths = paths

    def image_path(self, data: Path, image_id: str, split: Split) -> Path:
        """Return where an image of the call lies."""
        del data, split
        return self._paths[image_id]


class Engine(Supervisor):
    """Predicts the batches of all calls, one after the other, in one thread.

    Args:
        script: the running predict.py.
        options: of the command line.
        report: of the run.
        listed: the competition's folder; no image.
        endpoint: where calls come from.

    Attributes:
        closed: the run is over.
        images_of: pass -> images that it was done over.
        seconds_of: pass -> seconds of these tasks.
        forward_seconds: inside networks, over all workers.
    """

    def __init__(
        self, script: Script, options: Options, report: RunReport, listed: Listed, endpoint: Endpoint
    ) -> None:
        super().__init__(script, options, report, listed)
        self.endpoint, self._whole, self._own = endpoint, report, options
        self.costs = endpoint.journal.costs
        self.closed = False
        self.images_of: Counter[int] = Counter()
        self.seconds_of: defaultdict[int, float] = defaultdict(float)
        self.forward_seconds = 0.0
        self._told: set[str] = set()
        self._strikes: Counter[int] = Counter()
        self._call: Call | None = None
        self._saved = 0.0
        self._share_ends: float | None = None
        competition = of(self.ensemble)
        path = options.output / competition.format.submission.file
        nothing = Submission(competition, [], {}, path)
        self.data = Data(listed.folder, {}, {}, {}, nothing, [])

    def run(self) -> None:
        """Answer calls until the run is over.

        Raises:
            KitError: no temporary file can be written.
        """
        self.start(self.data)
        while not self.closed:
            try:
                self._turn(_TICK if self.events.finished else _TICK_WHILE_PREPARING)
            except Exception as error:  # noqa: BLE001 - a fault costs a call its rows, and not the run
                CallReport(self._whole, self._told, 0).problem(wording.supervisor_failed(error))
                time.sleep(_TICK)

    def _turn(self, tick: float) -> None:
        """Answer a call, or look after workers and preparation if none comes."""
        try:
            call = self.endpoint.calls.get(timeout=tick)
        except Empty:
            self._look_after()
        else:
            self._answer(call)

    def take(self, data: Data, folder: Path) -> None:
        """Make the parts that know the images, with what former calls have learnt of members."""
        before = getattr(self, "state", None)
        weights = {} if before is None else self.requests.weights
        super().take(data, folder)
        self.state.costs, self.requests.weights = self.costs, weights
        self.ladder.policy = self._policy = WithinShare(self.policy)
        if before is not None:
            self.state.ready |= before.ready
            self.state.losses.successes.update(before.losses.successes)
            for member, reason in before.losses.members.items():
                # Lost before it ever was ready: its weights are damaged, say. Others get another try.
                if member not in before.ready or self._strikes[member] >= _STRIKES:
                    self.ladder.drop_member(member, reason)
            self.events.ladder, self.events.requests = self.ladder, self.requests

    def _look_after(self) -> None:
        for received in self.workers.poll(0):
            self.replies.handle(received)
        self.events.handle_all()
        self._replace_stalled()
        self.endpoint.journal.write()

    # One call

    def _answer(self, call: Call) -> None:
        begin = time.monotonic()
        self.endpoint.journal.write()  # the gateway has the answer to the call before
        # The run is being stopped, or the call waited for one that hung and is answered by now.
        if STOP.requested or begin >= call.last or self.scratch is None:
            call.rows.set_result({})
            return
        folder = self.scratch.folder / "calls" / str(call.number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            rows = self._predict(call, folder)
        except Exception as error:  # noqa: BLE001 - it costs this call its rows, and nothing else
            self._whole.problem(f"call {call.number} failed: {type(error).__name__}: {error}")
            traceback.print_exc()
            rows = {}
        self._end_tasks()
        call.rows.set_result(rows)
        self._note(call, rows, time.monotonic() - begin)
        self.report = self._whole
        shutil.rmtree(folder, ignore_errors=True)

    def _predict(self, call: Call, folder: Path) -> Rows:
        """Return the rows of a call that were predicted in its time; files are read only in here."""
        left = call.last - time.monotonic()
        self.report = CallReport(self._whole, self._told, call.number)
        stall = self._own.stall or min(self._own.longest_silence, max(_SHORTEST_STALL, left / 4))
        self.options = replace(self._own, output=folder, budget=max(left, 1.0), stall=stall)
        self._call, self._share_ends = call, None
        self.deadline, self.end = call.last, call.last + (call.late - call.last) / 2
        images = _Images(self.listed.competition, call.batch.stored(folder))
        listed = Listed(self.listed.folder, images, Listing(list(call.batch.files)))
        self.data = find_data(self.ensemble, self.options, listed)
        for problem in (*self.data.notes, *(f"{i}: {why}" for i, why in self.data.unreadable.items())):
            self.report.problem(problem)
        self.data.submission.write_fallback()
        self.take(self.data, folder)
        self.costs.begin_call()
        publish = partial(self.publisher.finish, self.requests.result_folders)
        for step in (self.work, self._end_tasks, publish):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - rows that are complete go out even so
                self.report.problem(wording.supervisor_failed(error), trace=traceback.format_exc())
        submission = self.data.submission
        rows = submission.competition.rows_of(submission.path)
        return {image: [row.cells for row in own] for image, own in rows.items()}

    def _end_tasks(self) -> None:
        """End workers that are still at work: the files of a batch vanish when its answer is sent."""
        for worker in [worker for worker in self.workers.processes.live if worker.task is not None]:
            worker.task = None
            self.workers.replace(worker)

    def _note(self, call: Call, rows: Rows, seconds: float) -> None:
        images = _told_of(self.data, call, rows)
        whole = self._whole.values
        whole.setdefault("images", []).extend(images)
        found = Counter(str(item["row"]) for item in images)
        if rows:
            self._count_tasks()
        for member in range(len(self.ensemble.members)):
            dropped = member in self.state.losses.members
            self._strikes[member] = self._strikes[member] + 1 if dropped else 0
        told = {"call": call.number, "images": len(images), "rows": dict(found)}
        told |= {"seconds": round(seconds, 2), "share": round(call.share, 2)}
        whole.setdefault("calls", []).append(told)
        now = time.monotonic()
        if now - self._saved > _PAUSE:
            self._saved = now
            self._whole.save()
        rows_told = ", ".join(f"{number} of {origin}" for origin, number in sorted(found.items()))
        self._whole.say(f"call {call.number}: {rows_told}; {seconds:.1f} s, its share was {call.share:.1f} s")

    def _count_tasks(self) -> None:
        """Add the tasks of the call to those of the run; the first ones are kept for the timeline."""
        tasks = self.report.values.get("tasks", [])
        for task in tasks:
            if task["kind"] == "pass" and "failed" not in task:
                self.images_of[task["index"]] += 1
                self.seconds_of[task["index"]] += task["end"] - task["begin"]
        self.forward_seconds += self.replies.forward_seconds
        kept = self._whole.values.setdefault("tasks", [])
        kept += tasks[: max(0, _MOST_TASKS - len(kept))]

    # What differs from a run that writes a file

    def _replace_stalled(self) -> None:
        """Replace workers that are silent too long for a call; one that still imports has a run's time."""
        for worker in self.workers.stalled(self.options.longest_silence):
            if worker.ready or worker.hangs(self._own.longest_silence):
                self.replies.fail(worker, "stall", wording.silent(self.options.longest_silence))
                self.workers.replace(worker)

    def _measure(self) -> Resources:
        found = super()._measure()
        if self._call is None:
            return found
        now = time.monotonic()
        if self._share_ends is None:
            # Asked only when a worker is ready and everything is installed: now the first pass can start.
            self._share_ends = min(now + self._call.share, self.deadline)
        self._policy.beyond = self.deadline - self._share_ends
        return replace(found, seconds=self._share_ends - now)

    def _over(self) -> bool:
        state = self.state
        if not state.live_images():
            return True
        late = self._share_ends is not None and time.monotonic() >= self._share_ends
        idle = not self.workers.processes.busy() and not self.publisher.validations
        first = next(iter(state.rungs.begun), None)
        if late and idle and not state.combinable and first is not None and state.settled(first):
            return True
        return super()._over()


def _told_of(data: Data, call: Call, rows: Rows) -> list[dict[str, Any]]:
    """Return what report.json says of a call's images; `data` is of another call if this one has no rows."""
    if not rows:
        return [{"id": image, "height": 0, "width": 0, "row": FALLBACK} for image in call.batch.files]
    submission = data.submission
    return [
        {
            "id": image,
            "height": submission.sizes[image][0],
            "width": submission.sizes[image][1],
            "row": submission.origins.get(image, FALLBACK),
            "reason": data.unreadable.get(image),
        }
        for image in submission.ids
    ]
