"""Runs a schedule of faults on the tiny script, and says what is wrong with what it leaves."""

import copy
import os
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from kit.competitions import of
from kit.errors import KitError
from kit.local.offline.faults import catalogue
from kit.local.offline.faults.scene import Scene
from submission.rehearsal.judge import judge
from submission.rehearsal.stage import Play, Played, play
from tests.faults.pace import Pace
from tests.faults.tiny import Tiny, report_of

LONG = 600.0
"""Seconds: enough on a busy machine."""
BUDGETS = (15.0, 30.0, LONG, LONG)
"""The first ones end a run in its middle."""
STALL = 6.0
"""Seconds of silence after which a worker is replaced on a free machine: a hang must not cost minutes."""
_TRIES = 3


@dataclass
class Schedule:
    """What will happen."""

    seed: int
    faults: list
    scene: Scene
    budget: float

    def __str__(self):
        return f"{self.seed}: {', '.join(fault.name for fault in self.faults)}; budget {self.budget:.0f} s"


@dataclass
class End:
    """How a run ended; `wrong` is empty if it left what it has to."""

    code: int | None = None
    seconds: float = 0.0
    struck: list = field(default_factory=list)
    rungs: int = 0
    silent: bool = False
    wrong: list = field(default_factory=list)


def draw(seed: int) -> Schedule:
    """Draw a schedule; the same seed gives the same one."""
    faults, scene = catalogue.schedule(seed)
    budget = random.Random(f"budget {seed}").choice(BUDGETS)
    return Schedule(seed, faults, scene, budget * scene.slow_down)


def one(name: str, seed: int = 0) -> Schedule:
    """A schedule of one fault, with all the time it needs."""
    faults = catalogue.named([name])
    scene = catalogue.scene_of(faults, random.Random(seed))
    return Schedule(seed, faults, scene, LONG * scene.slow_down)


def longer_limit(end: End, limit: float, worst: float) -> float | None:
    """Return the limit of silence with which a run has to be done again; None if what it came to counts.

    A worker of a busy machine may be silent because it got no time. So a run that went wrong after a silence
    counts only if its limit was as many times the one of a free machine as things took longer meanwhile:

        limit   went wrong   silent   worst pause    then
        6 s     yes          yes      1 x            it counts: nothing but the run can have been silent
        6 s     yes          yes      5 x            again, with a limit of 30 s
        30 s    yes          yes      4 x            it counts: the machine paused for 24 s at most

    Args:
        end: of the run.
        limit: seconds of silence after which a worker was replaced.
        worst: the worst pause of the machine while it ran (`Pace.worst`).
    """
    fitting = STALL * worst
    return fitting if end.wrong and end.silent and fitting > limit else None


def run(schedule: Schedule, tiny: Tiny, folder: Path, reference: str | None) -> End:
    """Run a schedule in an empty folder; again where the machine was too busy to judge it (`longer_limit`).

    Args:
        schedule: the faults.
        tiny: script, bundle and data.
        folder: for all it writes.
        reference: submission.csv of a run without faults.
    """
    limit: float | None = STALL
    for left in reversed(range(_TRIES)):
        with Pace() as pace:
            end = _run(copy.deepcopy(schedule), tiny, folder, reference, limit)
        limit = longer_limit(end, limit, pace.worst)
        if limit is None or not left:
            break
        shutil.rmtree(folder)
    return end


def _run(schedule: Schedule, tiny: Tiny, folder: Path, reference: str | None, limit: float) -> End:
    """Run a schedule once in an empty folder.

    Args:
        schedule: the faults.
        tiny: script, bundle and data.
        folder: for all it writes.
        reference: submission.csv of a run without faults.
        limit: seconds of silence after which a worker is replaced.
    """
    (folder / "stage").mkdir(parents=True)
    # torchvision takes longer to import than torch, and these networks need none of it.
    schedule.scene.modules["torchvision"] = "__version__ = '0.23.0'\n"
    competition = of(tiny.ensemble)
    piece = Play(
        predict=tiny.script,
        bundle=tiny.bundle,
        data=tiny.data,
        ensemble=tiny.ensemble,
        competition=competition,
        python=Path(sys.executable),
        budget=schedule.budget,
        arguments=("--workers", "2", "--stall", f"{limit:g}"),
        scene=schedule.scene,
        environment={"KAGGLE_IS_COMPETITION_RERUN": "1"},
    )
    played = play(piece, folder / "stage", folder)
    judged = judge(competition, played.data, folder / "submission.csv", tiny.data)
    report = report_of(folder)
    silent = "no sign of life for" in played.ran.text
    end = End(played.ran.code, played.ran.seconds, played.struck, silent=silent)
    if report is not None:
        end.rungs = sum(row["state"] == "done" for row in report.get("rungs", ()))
    end.wrong = [
        *_wrong_end(schedule, played, judged),
        *_wrong_report(schedule, played, report, folder / "report.json"),
        *_wrong_rows(schedule, played, report, folder / "submission.csv", reference),
    ]
    return end


def _wrong_end(schedule, played: Played, judged):
    code = played.ran.code
    if not judged["valid"]:
        yield f"the file is not valid: {judged['findings'][:2]}"
    if played.ran.seconds > schedule.budget:
        yield f"it took {played.ran.seconds:.1f} s of {schedule.budget:.0f} s"
    may_be_empty = (
        any(fault.may_end_empty for fault in schedule.faults)
        or schedule.budget < LONG * schedule.scene.slow_down
    )
    if code != 0 and not (code == 2 and may_be_empty):
        yield f"exit code {code}"
    if "the supervisor failed" in played.ran.text or "the program cannot start" in played.ran.text:
        yield "a fault of predict.py itself"


def _wrong_report(schedule, played: Played, report, path):
    names = {fault.name for fault in schedule.faults}
    code = played.ran.code
    if "working-full" in names:  # the report gives way to the submission, or stays as it was before
        return
    if report is None:
        yield "no report.json"
        return
    if report.get("exit_code") != code:
        yield f"report.json says {report.get('exit_code')} for exit code {code}"
    # What strikes in the last moment of a run that is cut off is not heard any more.
    if any(words in played.ran.text for words in ("the time is up", "stopped by a signal")):
        return
    said = (path.read_text() + played.ran.text).casefold()
    for fault in schedule.faults:
        happened = fault.name in played.struck or (len(names) == 1 and not schedule.scene.strikes)
        if happened and code == 0 and fault.told and not any(word.casefold() in said for word in fault.told):
            yield f"nothing is said of {fault.name}"


def _wrong_rows(schedule, played: Played, report, submission, reference):
    """Where all was done in spite of the faults, the rows are those of a run without them."""
    if "seen in windows of" in played.ran.text:
        return  # a network that sees less around a pixel tells something else of it
    rungs = (report or {}).get("rungs", [])
    whole = (
        rungs and all(row["state"] == "done" for row in rungs) and "dropped" not in str(report["problems"])
    )
    whole = whole and all(image["row"] == f"rung {len(rungs)}" for image in report["images"])
    changed = schedule.scene.hidden or schedule.scene.weights
    if whole and not changed and reference is not None and submission.read_text() != reference:
        yield "all rungs are done, and the rows are other ones than without faults"


def undisturbed(tiny: Tiny, folder: Path) -> str:
    """Run without a fault, and return submission.csv."""
    end = run(Schedule(-1, [], Scene(random.Random(0)), LONG), tiny, folder, None)
    if end.wrong:
        last = (folder / "log.txt").read_text().strip().splitlines()[-8:]
        problem = "\n".join([f"even a run without faults went wrong: {'; '.join(end.wrong)}", *last])
        fix = (
            "if a worker was silent, the machine is too busy even for a limit that grew with its pauses: wait"
        )
        raise KitError(problem, where=folder, fix=fix)
    return (folder / "submission.csv").read_text()


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
