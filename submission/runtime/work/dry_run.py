"""A dry run of the hidden run, after a commit run: measures every member, then forecasts on a virtual clock.

The submission is final by then. Whatever happens here costs the forecast and nothing else.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

from kit.errors import KitError
from kit.plan.hidden_run import hidden_set, prospect
from kit.plan.measured import Measured, measured_tasks
from kit.typed_json import to_plain
from submission.runtime.result import hidden_run as words
from submission.runtime.script.process import STOP
from submission.runtime.work.device import total_memory
from submission.runtime.work.measuring import Measuring
from submission.runtime.work.supervisor import Supervisor

_LONGEST = 600.0
_SHARE = 50
"""The dry run takes a fiftieth of the budget, and ten minutes at most: 8.5 hours give ten minutes."""


def dry_run_seconds(asked: float | None, budget: float) -> float:
    """Return how long measuring may take; 0 in the hidden run, and where nobody asks for it outside Kaggle.

    Args:
        asked: of the command line.
        budget: seconds of the whole run.
    """
    if os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
        return 0.0
    if asked is not None:
        return asked
    return min(_LONGEST, budget / _SHARE) if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") else 0.0


def dry_run(supervisor: Supervisor) -> None:
    """Measure, forecast the hidden run, print it, and add it to the report as "hidden_run".

    Args:
        supervisor: its run is over, its submission final.
    """
    options, report = supervisor.options, supervisor.report
    seconds = dry_run_seconds(options.dry_run, options.budget)
    until = min(time.monotonic() + seconds, supervisor.deadline)
    if seconds <= 0:
        return
    try:
        measuring = _measure(supervisor, until)
        report.values["hidden_run"] = facts = _foretell(supervisor, measuring)
        report.say("\n".join(["", *words.lines(facts, supervisor.ensemble)]))
    except Exception as error:  # noqa: BLE001 - the submission is final, and this is only a forecast
        problem = error.problem if isinstance(error, KitError) else f"{type(error).__name__}: {error}"
        report.values["hidden_run"] = {"problem": problem}
        report.say(words.no_forecast(problem))
    report.save(last=True)


def _measure(supervisor: Supervisor, until: float) -> Measuring:
    if supervisor.scratch is None or supervisor.scratch.in_output:
        raise KitError("no disk but the output folder has room for its files")
    left = until - time.monotonic()
    if left <= 0:
        raise KitError("the run took all of its time")
    supervisor.report.say(words.begins(left))
    measuring = Measuring(supervisor, until)
    try:
        measuring.run()
    finally:
        measuring.workers.processes.kill_all()
    if STOP.requested:
        raise KitError("a signal ended it")
    shutil.rmtree(measuring.folder, ignore_errors=True)
    return measuring


def _foretell(supervisor: Supervisor, measuring: Measuring) -> dict[str, Any]:
    """Return the value of "hidden_run"."""
    options, report, ensemble = supervisor.options, supervisor.report, supervisor.ensemble
    runs = [rows.get("tasks", []) for rows in (report.values, measuring.report.values)]
    sizes = {**supervisor.data.megapixels, **measuring.megapixels}
    measured = Measured(
        workers=max(1, measuring.workers.wanted),
        **_set_up(supervisor, runs[0]),
        **measured_tasks(ensemble, runs, sizes),
        sizes=tuple(measuring.megapixels.values()),
    )
    free = shutil.disk_usage(measuring.folder.parent).free
    form = supervisor.data.submission.competition.format
    hidden = hidden_set(
        options.hidden_images or form.hidden_images,
        options.hidden_megapixels or form.hidden_megapixels,
        measured.sizes,
    )
    told = None if hidden is None else prospect(ensemble, measured, hidden, budget=options.budget, free=free)
    members = {ensemble.passes[index].member for index in measured.known}
    facts = {
        "seconds": round(measuring.seconds, 1),
        "tasks": len(runs[1]),
        "images_measured": measuring.images,
        "members_measured": len(members),
        "memory_peak": max(rows["memory_peak"] for rows in (report.values, measuring.report.values)),
        "memory_total": total_memory(),
        "memory_ran_out": measuring.ran_out,
        "disk_free": free,
        "problems": [row["what"] for row in measuring.report.values["problems"]],
        "measured": to_plain(measured),
    }
    return words.as_facts(facts, told, ensemble, measured, options.budget)


def _set_up(supervisor: Supervisor, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the fields of `Measured` about the begin and the end of the run."""
    values, workers = supervisor.report.values, supervisor.workers
    first: dict[str, float] = {}
    for event in values["events"]:
        first.setdefault(event["name"], event["seconds"])
    # Two GPUs were ready after 12 and 14 s, and packages installed after 9 s: tasks begin after 14 s.
    devices = [event["seconds"] for event in values["events"] if event["name"] == "device"]
    begin = max(first.get("installed", 0.0), *devices[: max(1, workers.wanted)], 0.0)
    ready: list[float | None] = [None] * len(supervisor.ensemble.members)
    names = {member.name: number for number, member in enumerate(supervisor.ensemble.members)}
    for row in values.get("weights", ()):
        ready[names[row["member"]]] = row["seconds"]
    for member in supervisor.state.losses.members:
        ready[member] = None
    last = max([begin, first.get("verified", 0.0), *(task["end"] for task in tasks)])
    return {"installed": begin, "ready": tuple(ready), "ending": max(0.0, values["wall_seconds"] - last)}
