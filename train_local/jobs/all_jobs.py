"""The whole graph of a command line: from folders to a plan, and from the plan to results."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit import competitions
from kit.artefacts import sha256_json
from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.console import console
from kit.local.locks import only_one
from kit.local.wording import counted
from train_local.data import prepared
from train_local.jobs import forms, graph, source_hash, summary
from train_local.jobs.checkpoint_contents import CheckpointContents
from train_local.jobs.command_options import Graph, TrainAll, flags
from train_local.jobs.executors.local import LocalExecutor
from train_local.jobs.gpus import find_gpus
from train_local.jobs.job import CompetitionData, Form, Job, Setting
from train_local.jobs.live_table import JobRow, JobState, LiveTable
from train_local.jobs.resources import resources_of
from train_local.jobs.scheduler import SETTLE, Progress, Scheduler, Standing, log_of
from train_local.jobs.status import state_of
from train_local.places import require_data, require_folder, require_outside
from train_local.report.command import PAGE, report_jobs

if TYPE_CHECKING:
    from train_local.jobs.executors.base import Executor

FAILED = 1
"""Exit code if a job failed or could not run."""
_SHOWN: Mapping[Standing, JobState] = {
    "done": "done",
    "stopped early": "stopped early",
    "to do": "waiting",
    "waiting": "queued",
    "running": "running",
    "failed": "failed",
    "blocked": "blocked",
}


class Plan:
    """Makes the plan of a command line, again whenever data has been prepared.

    Args:
        options: of the command line.
        launcher: start of each job's command line.

    Attributes:
        runs: folder of all runs.
        left_out: recipes that the last plan has no training of, for lack of folds, with the reason.
    """

    def __init__(self, options: Graph, launcher: tuple[str, ...]) -> None:
        self._options = _absolute(options)
        self._launcher = launcher
        self._sources = source_hash.installed()
        self.runs = self._options.out
        self.left_out: list[str] = []

    def make(self) -> dict[str, Job]:
        """Return all jobs by name, each behind those it needs.

        Raises:
            KitError: there is no data, no recipe is for it, or a place of results is a file.
        """
        options = self._options
        for flag, place in (("--out", self.runs), ("--work", options.work), ("--dist", options.dist)):
            if place is not None:
                require_folder(flag, place)
        found = [self._prepared(folder) for folder in options.prepared]
        found += [self._to_prepare(name, folder) for name, folder in options.data]
        if not found:
            raise KitError("no data is named", where="--prepared", fix="name prepared folders, or use --data")
        names = [item.competition for item, _ in found]
        if twice := [name for name in names if names.count(name) > 1]:
            raise KitError(
                f"the competition {twice[0]} is named twice",
                where="--prepared" if len(options.prepared) > 1 else "--prepared and --data",
                fix="name each once",
            )
        known = self._forms([(item.competition, kind) for item, kind in found])
        for item, kind in found:
            if not any(form.member for form in known[item.competition]):
                raise KitError(
                    f"no recipe is for {item.competition} ({kind})",
                    where=item.folder,
                    fix="`recipes` lists what there is; a model of your own is added with `add-model` "
                    "(docs/own-model.md)",
                )
        self.left_out = [
            f"{form.name} is left out: it is trained on fold {min(folds)}, and {item.competition} is "
            f"prepared with {counted(item.folds, 'fold')}, from 0; `prepare --folds {min(folds) + 1}` has it"
            for item, _ in found
            for form in known[item.competition]
            if form.member and item.folds is not None and min(folds := form.config["folds"]) >= item.folds
        ]
        setting = Setting(
            launcher=self._launcher,
            options=tuple(flags(options)),
            source=self._sources.hash_of,
            checkpoint=CheckpointContents(options.checkpoints, self._kept("checkpoints.json")).of,
            resources=partial(
                resources_of, gpus=0 if options.options.device == "cpu" else options.options.gpus
            ),
            budget=options.options.budget,
        )
        return graph.plan([item for item, _ in found], known, setting)

    def provisional(self, jobs: Mapping[str, Job]) -> set[str]:
        """Return the jobs behind a preparation that is still to be done: their identities are not final."""
        undone = {name for name, job in jobs.items() if job.kind == "prepare" and state_of(job) != "done"}
        for name, job in jobs.items():
            if undone.intersection(job.needs):
                undone.add(name)
        return {name for name in undone if jobs[name].kind != "prepare"}

    def _forms(self, competitions: list[tuple[str, str]]) -> dict[str, list[Form]]:
        """The recipes of some competitions; each is kept in a file, since making them takes seconds."""
        return {
            name: forms.load(
                name,
                kind,
                self._sources,
                tiny=self._options.tiny,
                views=self._options.views,
                batch_size=self._options.batch_size,
                checkpointing=self._options.checkpointing,
                cache=self._kept(),
            )
            for name, kind in competitions
        }

    def _kept(self, name: str = "") -> Path | None:
        """Where what plans read again and again is kept; a dry run makes no folder for it."""
        return self.runs / ".plan" / name if self.runs.is_dir() else None

    def _prepared(self, folder: Path) -> tuple[CompetitionData, str]:
        made = prepared.load(folder)
        data = CompetitionData(
            competition=made.competition,
            folder=folder,
            runs=self.runs / made.competition,
            ensemble=(self._options.dist or self.runs) / made.competition / "ensemble.json",
            identity=made.identity,
            folds=len(made.folds),
            definition=made.definition,
        )
        return data, _kind_of(made.source)

    def _to_prepare(self, name: str, data: Path) -> tuple[CompetitionData, str]:
        source = competitions.get(name)
        require_data(data)
        folder = self._options.work / source.name
        # The tiny forms read images at a small part of the size that the published ones need.
        tiny = ("--tiny",) if self._options.tiny else ()
        command = (name, "--data", str(data), "--out", str(folder), *tiny)
        # Inside of --data they would change it: each preparation would ask for another one.
        for flag, place in (("--work", folder), ("--out", self.runs), ("--dist", self._options.dist)):
            if place is not None:
                require_outside(flag, place, data)
        # As `make` does it: a file that has another size or date may have another content, then it is
        # prepared again, which is quick where the content is the same. What training sees has the hashes of
        # contents. Hidden files are of programs that show the folder, and come and go while jobs run.
        files = {
            path.relative_to(data).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns]
            for path in sorted(data.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(data).parts)
        }
        modules = ["train_local.data.prepare", f"kit.competitions.{source.kind}"]
        # A recipe that wants another resolution needs other arrays.
        wanted = [
            config["data"]
            for form in self._forms([(source.name, _kind_of(source))])[source.name]
            for config in _stages(form.config)
        ]
        # A competition that a TOML file describes is what the file says, wherever it lies. The data's place
        # counts, since prepared.json has it: data that was moved is looked for where it lies now.
        what = source.definition or source.name
        identity = sha256_json([what, str(data), files, tiny, wanted, self._sources.hash_of(modules)])
        item = CompetitionData(
            competition=source.name,
            folder=folder,
            runs=self.runs / source.name,
            ensemble=(self._options.dist or self.runs) / source.name / "ensemble.json",
            identity=identity,
            folds=None,
            prepare=command,
            prepare_identity=identity,
            definition=source.definition,
        )
        job = Job(
            kind="prepare",
            name="",
            competition="",
            identity=identity,
            folder=folder,
            products=(folder / prepared.NAME,),
        )
        if state_of(job) == "done":
            made = prepared.load(folder)
            item = replace(item, identity=made.identity, folds=len(made.folds))
        return item, _kind_of(source)


def _kind_of(source: Competition) -> str:
    """Return the kind of a competition in words; recipes have the kinds of one class only."""
    several = bool(source.format.classes) and source.kind != "values"
    return f"{source.kind}, several classes" if several else source.kind


def _absolute(options: Graph) -> Graph:
    """The same options with absolute paths, which hold on every machine that shares the file system."""
    return replace(
        options,
        out=options.out.resolve(),
        work=options.work.resolve(),
        dist=None if options.dist is None else options.dist.resolve(),
        prepared=tuple(path.resolve() for path in options.prepared),
        data=tuple((_absolute_file(name), path.resolve()) for name, path in options.data),
        checkpoints=None if options.checkpoints is None else options.checkpoints.resolve(),
    )


def _stages(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A recipe and its earlier stages."""
    yield config
    if config["earlier_stage"] is not None:
        yield from _stages(config["earlier_stage"])


def _absolute_file(name: str) -> str:
    return str(Path(name).resolve()) if name.endswith(".toml") else name


def do(plan: Callable[[], Mapping[str, Job]], options: TrainAll, *, runs: Path) -> int:
    """Do all jobs of a plan that are not done; print how far they are, and at the end what is missing.

    Args:
        plan: makes the plan.
        options: executor, slots and the like.
        runs: folder of all runs.

    Returns:
        Exit code: 0 if everything is done.

    Raises:
        KitError: another `train-all` works in the folder, or the executor cannot be used.
        KeyboardInterrupt: after all running jobs were ended.
    """
    with only_one(runs / ".train-all.lock"), interruptible():
        jobs = plan()
        undone = [job for job in jobs.values() if state_of(job) != "done"]
        if not undone:
            console().print(f"all {len(jobs)} jobs are done", markup=False)
            if options.json:
                print(json.dumps({"complete": True, "jobs": dict.fromkeys(jobs, "done"), "failures": {}}))
            return 0
        summary.show_missing_checkpoints(undone)
        rows = [_row(job, runs) for job in jobs.values()]
        told: set[str] = set()
        with LiveTable(rows, bars=options.graph.options.bars) as table:

            def show(progress: Progress) -> None:
                # After a preparation there are jobs that nobody knew of, and perhaps fewer folds.
                if list(progress.jobs) != [row.name for row in table.jobs]:
                    table.jobs = [_row(job, runs) for job in progress.jobs.values()]
                table.update({name: _SHOWN[standing] for name, standing in progress.standing.items()})
                for name in progress.refused.keys() - told:
                    told.add(name)
                    summary.say(
                        f"{name} is not taken yet: {progress.refused[name]}; it is tried again", "yellow"
                    )
                for name in progress.quiet.keys() - told:
                    told.add(name)
                    log = log_of(progress.jobs[name], runs)
                    minutes = progress.quiet[name] / 60
                    summary.say(
                        f"{name} has said nothing for {minutes:.0f} minutes; its log: {log}", "yellow"
                    )

            settle = 0.0 if options.executor == "local" else SETTLE
            progress = Scheduler(plan, make_executor(options, runs), runs, show=show, settle=settle).run()
            show(progress)
    _write_page((options.graph.dist or runs) / PAGE, progress, runs)
    summary.show_end(progress, runs)
    if options.json:
        print(json.dumps(summary.ended(progress)))
    return 0 if progress.complete else FAILED


def _write_page(out: Path, progress: Progress, runs: Path) -> None:
    """Write the HTML page; a page that cannot be written is told and changes nothing else."""
    try:
        report_jobs(out, list(progress.jobs.values()), progress.failures, runs)
    except Exception as error:  # noqa: BLE001 - hours of training must not end with a traceback of a picture
        text = f"the page {out} could not be written ({type(error).__name__}: {error}); `report` tries again"
        console().print(text, style="yellow", markup=False, soft_wrap=True)
    else:
        console().print(f"curves, scores and pictures: {out}", markup=False, soft_wrap=True)


def make_executor(options: TrainAll, runs: Path) -> Executor:
    """Return the executor that the command line names.

    Raises:
        KitError: it cannot be used here.
    """
    # Slurm's and Ray's libraries are loaded by those who use them.
    if options.executor == "slurm":
        from train_local.jobs.executors.slurm import SlurmExecutor

        return SlurmExecutor(runs / ".slurm", _parameters(options.submit))
    if options.executor == "ray":
        from train_local.jobs.executors.ray import RayExecutor

        return RayExecutor(options.address)
    gpus = _gpus(options)
    together = options.graph.options.gpus
    if gpus and together > len(gpus):
        raise KitError(
            f"{together} GPUs were asked for each training and there are {len(gpus)}",
            where="--gpus-per-run",
            fix="ask for fewer, or check --gpus, CUDA_VISIBLE_DEVICES and `nvidia-smi`",
        )
    slots = options.jobs or len(gpus) or _jobs_of_cores(options.graph)
    return LocalExecutor(slots, gpus if gpus or options.machine_gpus == 0 else None)


def _gpus(options: TrainAll) -> dict[str, float]:
    """The GPUs of this machine that jobs may use.

    Raises:
        KitError: `--gpus` asks for more than there are, or the driver lists none.
    """
    found = {} if options.graph.options.device == "cpu" else _found_gpus(options)
    wanted = options.machine_gpus or 0
    if wanted > len(found):
        raise KitError(
            f"{wanted} GPUs were asked for and {len(found)} can be used",
            where="--gpus",
            fix="ask for fewer or leave it out, or check --device, CUDA_VISIBLE_DEVICES and `nvidia-smi`",
        )
    return found


def _found_gpus(options: TrainAll) -> dict[str, float]:
    try:
        return find_gpus(options.machine_gpus)
    except KitError as error:
        # Tiny forms are made for a CPU.
        if not options.graph.tiny or options.graph.options.device == "cuda":
            raise
        summary.say(f"{error.problem}: the CPU computes", "yellow")
        return {}


def _jobs_of_cores(options: Graph) -> int:
    """Return how many jobs a machine without GPUs does side by side.

    A tiny form takes a few hundred MB, so each core may have one. A network at full size takes tens of GB.
    """
    return max(1, len(os.sched_getaffinity(0)) // options.options.threads) if options.tiny else 1


def _parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Submitit's parameters: numbers become numbers."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise KitError(
                f"{pair!r} is no KEY=VALUE", where="--submit", fix="write slurm_partition=gpu, for example"
            )
        found[key] = int(value) if value.isdigit() else value
    return found


def _row(job: Job, runs: Path) -> JobRow:
    recipe = job.config["recipe"]["name"] if job.kind == "train" else ""
    return JobRow(
        name=job.name,
        folder=job.folder,
        log=log_of(job, runs),
        group=f"{job.competition}/{recipe}" if recipe else "",
        hours=job.resources.hours,
    )


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: end the jobs, then this process."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # `nohup` lets a process ignore SIGHUP: then it goes on when its terminal is closed.
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
