"""Owns the clock and the file: hands out tasks, replaces the submission rung by rung, ends in time.

It imports neither torch nor the bundle's libraries, reads no image beyond its header, and waits for nothing
without a limit.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from kit.artefacts import remove_leftovers, write_json, write_text
from kit.errors import KitError
from kit.inference.store import pass_file
from submission.runtime.plan.costs import Costs, reserve_seconds
from submission.runtime.work.workers import Crew
from submission.runtime.inputs.install import offline_environment
from submission.runtime.result.report import Journal, counted
from submission.runtime.work.processes import Message, Pool, Worker, worker_command
from submission.runtime.inputs.preparation import Event, Preparation, make_plan
from submission.runtime.plan.schedule import FoldTask, FuseTask, PassTask, Schedule, Stage
from submission.runtime.script.script import Script
from submission.runtime.inputs.test_images import Data, Options, embedded, find_data
from submission.runtime.plan.disk_space import Space, free_bytes

_TICK = 0.25
_TICK_WHILE_PREPARING = 0.02
_SILENCE = 60.0
"""Seconds between progress lines while a pass goes on."""


@dataclass(frozen=True)
class ValidateTask:
    """A complete rung's file, looked at before it replaces the old one."""

    rung: int
    file: Path


Job = PassTask | FoldTask | FuseTask | ValidateTask


class Supervisor:
    """One run.

    Args:
        script: the running predict.py.
        options: of the command line.
        journal: with the clock of the process.

    Attributes:
        stopped: set from outside (a signal) to end the run as if the time were up.
        setbacks: image -> why the last task about it that failed or was not begun did not succeed.
    """

    def __init__(self, script: Script, options: Options, journal: Journal) -> None:
        self.options, self.journal = options, journal
        self.ensemble, self.manifests = embedded(script)
        self.scratch = _scratch()
        self.site = self.scratch / "site"
        self.deadline = (
            journal.start + options.budget - reserve_seconds(options.budget, self.ensemble.reserve_seconds)
        )
        self.plan = make_plan(self.ensemble, self.manifests)
        environment = offline_environment(os.environ, self.scratch, self.site)
        self.crew = Crew(
            Pool(worker_command(script.as_file(self.scratch)), environment, self.scratch),
            journal,
            device=options.device,
            count=options.workers,
            largest_weights=max(member.size for member in self.ensemble.members),
            environment=os.environ,
        )
        self.stopped = self.installed = self.prepared = False
        self.weights: dict[int, str] = {}
        self.validations: deque[ValidateTask] = deque()
        self.composed = self.published = -1
        self.forward_seconds = 0.0
        self.setbacks: dict[str, str] = {}
        self._told = time.monotonic()
        self.failure: KitError | None = None

    # Beginning

    def begin(self) -> None:
        """Write the fallback and set everything going.

        Raises:
            KitError: no data, or no output folder to write to.
        """
        if not self.plan.replaces:
            self.crew.start()  # torch is the image's: workers import it while the bundle is still looked for
        data = find_data(self.ensemble, self.options)
        data.submission.write_fallback()
        self.data: Data = data
        self.journal.path = self.options.output / "report.json"
        self.journal.event("fallback", images=len(data.submission.ids))
        self.journal.say(
            f"{counted(len(data.submission.ids), 'image')}, {sum(data.megapixels.values()):.1f} megapixels, "
            f"in {data.folder}; fallback written to {data.submission.path}"
        )
        for note in data.notes:
            self.journal.problem(note)
        for image, reason in data.unreadable.items():
            self.journal.problem(f"image {image} gets the fallback row: {reason}", image=image)
        self.journal.save()
        write_json(self.scratch / "sizes.json", dict(data.submission.sizes))
        self.costs = Costs(self.ensemble)
        self.schedule = Schedule(
            self.ensemble,
            data.megapixels,
            self.costs,
            workers=max(1, self.crew.size),
            fits=self._fits,
            space=Space(self.ensemble, data.megapixels, free_bytes(self.scratch)),
        )
        self.preparation = Preparation(
            self.ensemble,
            self.manifests,
            self.plan,
            root=self.options.input,
            site=self.site,
            scratch=self.scratch,
            timeout=max(1.0, self.options.budget / 4),
        )
        self.preparation.start(data.folder)

    def _fits(self, seconds: float) -> bool:
        return time.monotonic() + seconds * self.ensemble.slowdown <= self.deadline

    # Middle

    def work(self) -> None:
        """Hand out tasks until all is done or the time is up."""
        while not self.stopped and (left := self.deadline - time.monotonic()) > 0:
            tick = _TICK if self.prepared else _TICK_WHILE_PREPARING
            for message in self.crew.poll(min(tick, left)):
                self._on_message(message)
            self._on_events()
            for worker in self.crew.stalled(self.options.stall):
                self._lose(worker, "stall", f"no sign of life for {self.options.stall:.0f} s")
                self.crew.replace(worker)
            self._compose()
            self._assign()
            self._clear()
            if self._over():
                return
        self.journal.event("stopped" if self.stopped else "deadline")
        self.journal.say("stopped by a signal" if self.stopped else "time is up")

    def _over(self) -> bool:
        if self.crew.broken is not None:
            self.failure = self.crew.broken
            return True
        lost, members = self.schedule.lost_members, self.ensemble.members
        if len(lost) == len(members) or not self.schedule.live_images():
            return True
        busy = any(worker.job is not None for worker in self.crew.pool.workers)
        return self.prepared and self.schedule.exhausted and not self.validations and not busy

    def _on_events(self) -> None:
        while True:
            try:
                event = self.preparation.events.get_nowait()
            except Empty:
                return
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        facts = event.facts
        if event.name == "member":
            self.weights[facts["member"]] = facts["path"]
            self.schedule.member_ready(facts["member"])
            self.journal.report.setdefault("weights", []).append(
                {**facts, "member": self.ensemble.members[facts["member"]].name}
            )
        elif event.name in {"lost", "broken"}:
            error: KitError = facts["error"]
            lost = [facts["member"]] if event.name == "lost" else range(len(self.ensemble.members))
            self.failure = self.failure or error
            for member in lost:
                follows = self.schedule.drop_member(member, error.problem)
                self.journal.problem(f"{error}\n  so:    {follows}", trace=facts.get("trace"))
        elif event.name == "done":
            self.prepared = True
            self.journal.event("verified", at=event.at)
        else:
            self.journal.event(event.name, at=event.at, **facts)
            if event.name == "datasets" and facts["missing"]:
                names = ", ".join(facts["missing"])
                self.journal.say(
                    f"no folder carries the manifest of {names}: looking for its files by content"
                )
            if event.name == "installed":
                self._on_installed(facts)

    def _on_installed(self, facts: dict[str, Any]) -> None:
        self.installed = True
        self.journal.report["install"] = {
            **facts,
            "choices": [choice.as_dict() for choice in self.plan.choices],
        }
        for note in facts["notes"]:
            self.journal.problem(f"installer skipped: {note}")
        names = ", ".join(choice.name for choice in self.plan.choices if choice.entry is not None)
        self.journal.say(f"installed with {facts['tool']}: {names}" if names else "the image has it all")
        if self.plan.replaces:
            self.crew.start()

    def _assign(self) -> None:
        if not self.installed:
            return
        self.schedule.workers = max(1, self.crew.size)
        for worker in self.crew.pool.idle():
            job: Job | None = self.validations.popleft() if self.validations else self.schedule.next()
            if job is None:
                break
            try:
                message = self._message(job)
            except KitError as error:  # the disk has no room for what the worker would read
                worker.job, worker.started = job, time.monotonic()
                self._lose(worker, "disk", error.problem)
            else:
                self.crew.pool.send(worker, job, message)

    def _clear(self) -> None:
        """Delete results that no rung needs any more, and tell what there was no room for."""
        for file in self.schedule.shelf.obsolete:
            Path(file).unlink(missing_ok=True)
        self.schedule.shelf.obsolete.clear()
        for task, reason in self.schedule.crowded_out:
            follows = f"image {task.image} goes on without this pass"
            self.journal.problem(
                f"pass {task.index + 1}, image {task.image}: {reason}; {follows}", stage="disk"
            )
            self.setbacks[task.image] = reason
        self.schedule.crowded_out.clear()

    def _message(self, job: Job) -> dict[str, Any]:
        if isinstance(job, ValidateTask):
            return {"op": "validate", "file": str(job.file), "sizes": str(self.scratch / "sizes.json")}
        if isinstance(job, FuseTask):
            folder = self.scratch / "rows" / str(job.rung)
            ensemble = folder / f"ensemble-{len(self.schedule.live_passes(job.rung))}.json"
            if not ensemble.is_file():
                write_json(ensemble, self.schedule.reduced(job.rung).as_dict())
            return {
                "op": "fuse",
                "image": job.image,
                "ensemble": str(ensemble),
                "files": self.schedule.files(job.rung, job.image),
                "size": self.data.submission.sizes[job.image],
                "info": asdict(self.data.infos[job.image]),
                "row": str(folder / f"{job.image}.row.json"),
            }
        if isinstance(job, FoldTask):
            return {
                "op": "fold",
                "files": self.schedule.shelf.parts(job.index, job.image),
                "weights": self.schedule.fold_weights(job),
                "target": str(self.scratch / "means" / f"{job.image}.{job.index}.npy"),
            }
        member = self.ensemble.passes[job.index].member
        return {
            "op": "pass",
            "index": job.index,
            "image": job.image,
            "path": str(self.data.paths[job.image]),
            "weights": self.weights[member],
            "out": str(self.scratch / "passes"),
            "batch_size": 1 if job.attempt else self.options.batch_size,
            "info": asdict(self.data.infos[job.image]),
        }

    def _on_message(self, message: Message) -> None:
        worker, facts = message.worker, message.facts
        if message.event == "first_forward":
            if not any(event["name"] == "first_forward" for event in self.journal.report["events"]):
                self.journal.event("first_forward", at=facts["at"])
                self.journal.say(f"first forward pass after {self.journal.elapsed(facts['at']):.1f} s")
        elif message.event == "done":
            job, worker.job = worker.job, None
            self._on_done(worker, job, dict(facts))
        elif message.event == "failed":
            self._lose(worker, facts["stage"], facts["problem"], facts.get("trace"))
        elif message.event == "exit" and worker.job is not None:
            self._lose(worker, "crash", f"worker ended with code {facts['code']}: {worker.tail()[-300:]}")

    def _on_done(self, worker: Worker, job: Job, facts: dict[str, Any]) -> None:
        told = {name: facts[name] for name in ("forward", "skipped", "windows") if name in facts}
        self._note_task(worker, job, facts["begin"], facts["end"], **told)
        if isinstance(job, PassTask):
            self.forward_seconds += facts["forward"]
            self.schedule.finished_pass(job, facts["file"], facts["end"] - facts["begin"] - facts["load"])
            self._tell_progress(job.index)
        elif isinstance(job, FoldTask):
            self.schedule.finished_fold(job, facts["file"])
        elif isinstance(job, FuseTask):
            self.schedule.finished_row(job, facts["file"])
        else:
            for finding in facts["findings"]:
                if finding["level"] != "note":
                    self.journal.problem(f"rung {job.rung + 1}: {finding['text']}")
            if facts["ok"]:
                self._publish(job.rung, job.file.read_text(encoding="utf-8"))

    def _tell_progress(self, index: int) -> None:
        """One line when a pass is complete, and every now and then before."""
        done, images = self.schedule.finished_images(index), len(self.schedule.live_images())
        if done < images and time.monotonic() - self._told < _SILENCE:
            return
        self._told = time.monotonic()
        item = self.ensemble.passes[index]
        name = self.ensemble.members[item.member].name
        rate, left = self.costs.per_megapixel(index), self.deadline - self._told
        self.journal.say(
            f"pass {index + 1} of {len(self.ensemble.passes)} ({name}, {item.view}): "
            f"{done} of {images} images, {rate:.3g} s a megapixel, {left:.0f} s left"
        )

    def _note_task(self, worker: Worker, job: Job, begin: float, end: float, **facts: Any) -> None:
        what = {PassTask: "pass", FoldTask: "fold", FuseTask: "fuse", ValidateTask: "validate"}[type(job)]
        index = job.index if isinstance(job, PassTask | FoldTask) else job.rung
        self.journal.report.setdefault("tasks", []).append(
            {
                "worker": worker.number,
                "kind": what,
                "index": index,
                "image": getattr(job, "image", None),
                "begin": round(self.journal.elapsed(begin), 3),
                "end": round(self.journal.elapsed(end), 3),
                **facts,
            }
        )

    def _lose(self, worker: Worker, stage: Stage, problem: str, trace: str | None = None) -> None:
        """A worker's job failed, with the worker or without."""
        job, worker.job = worker.job, None
        if job is None:
            self.journal.problem(f"worker {worker.number}: {problem}")
            return
        self._note_task(worker, job, worker.started, time.monotonic(), failed=stage)
        if isinstance(job, ValidateTask):
            self.journal.problem(f"rung {job.rung + 1} could not be validated: {problem}", trace=trace)
            return
        self.setbacks[job.image] = problem
        if isinstance(job, PassTask):
            remove_leftovers(self._result_of(job))
        follows = self.schedule.failed(job, stage, problem)
        what = f"row of rung {job.rung + 1}" if isinstance(job, FuseTask) else f"pass {job.index + 1}"
        self.journal.problem(f"{what}, image {job.image}: {problem}; {follows}", stage=stage, trace=trace)

    def _result_of(self, job: PassTask) -> Path:
        item = self.ensemble.passes[job.index]
        member, info = self.ensemble.members[item.member], self.data.infos[job.image]
        return pass_file(
            self.scratch / "passes", member, item.view, job.image, kind=self.ensemble.kind, info=info
        )

    # The file

    def _compose(self) -> None:
        """Put every newly settled rung together and have it validated."""
        for rung in range(self.composed + 1, self.schedule.admitted):
            if self.schedule.settled(rung) and self._rows(rung):
                file = self.scratch / f"rung{rung}.csv"
                self.composed = rung
                try:
                    write_text(file, self.data.submission.text(self._rows(rung)))
                except KitError as error:  # `finish` makes room and tries again
                    self.journal.problem(f"rung {rung + 1} could not be put together: {error.problem}")
                else:
                    self.validations.append(ValidateTask(rung, file))

    def _rows(self, rung: int) -> dict[str, Path]:
        rows = {image: self.schedule.best_row(rung, image) for image in self.data.submission.ids}
        return {image: Path(row[1]) for image, row in rows.items() if row is not None}

    def _publish(self, rung: int, text: str, *, part: bool = False) -> None:
        if rung <= self.published:
            return
        rows = {image: self.schedule.best_row(rung, image) for image in self.data.submission.ids}
        origins = {image: f"rung {row[0] + 1}" for image, row in rows.items() if row is not None}
        state = f"part of rung {rung + 1}" if part else f"rung {rung + 1}"
        try:
            self.data.submission.replace(text, state, origins)
        except KitError as error:
            self.failure = error
            self.journal.problem(str(error))
            return
        self.published = rung
        self.journal.event("rung", rung=rung, part=part, rows=len(origins))
        self.journal.say(
            f"{state} of {len(self.ensemble.rungs)} written: {counted(len(origins), 'predicted row')}"
        )
        self.journal.save()

    def finish(self) -> None:
        """End all processes and write the best that is complete; the first rung even where it is not."""
        self.crew.pool.kill_all()
        self.preparation.end()
        late = [
            rung
            for rung in reversed(range(self.published + 1, self.schedule.admitted))
            if self.schedule.settled(rung) and self._rows(rung)
        ]
        if late or self.published < 0:
            for name in ("passes", "means"):  # nobody reads the maps any more, and they may fill the disk
                shutil.rmtree(self.scratch / name, ignore_errors=True)
        while late and late[0] > self.published:
            self._publish_late(late.pop(0), part=False)
        if self.published < 0 and self._rows(0):
            self._publish_late(0, part=True)

    def _publish_late(self, rung: int, *, part: bool) -> None:
        text = self.data.submission.text(self._rows(rung))
        candidate = self.scratch / "last.csv"
        left = self.journal.start + self.options.budget - time.monotonic()
        report = None
        try:
            write_text(candidate, text)
            report = self.data.submission.validate_within(candidate, left / 2)
        except KitError as error:
            self.journal.problem(f"rung {rung + 1} could not be validated: {error.problem}")
        if report is not None and not report.ok:
            self.journal.problem(f"the last file is not valid and was not used: {report.findings[0]}")
        else:
            self._publish(rung, text, part=part)


def _scratch() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="predict-"))
    except OSError as error:
        raise KitError(
            f"no temporary folder can be made: {error.strerror}",
            where=tempfile.gettempdir(),
            fix="free space there, or point TMPDIR to another disk",
        ) from error
