"""The last lines of a run, the rest of report.json, and the exit code."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.ensemble import Ensemble
from kit.errors import BAD_INPUT
from kit.plan.choice import Choice
from kit.plan.forecast import saved_seconds, skipped_seconds
from kit.plan.state import LadderState
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.result.submission_file import Submission
from submission.runtime.script.process import CRASHED

FALLBACK = "fallback"
_NINE_IN_TEN = (-1.645, 0.0, 1.645)
"""Standard deviations of a normal distribution: a part of 0.05 lies below the first and above the last."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to.

    Attributes:
        ensemble: members, passes and rungs.
        state: of the ladder at the end.
        choices: the routes that were chosen, with their forecasts.
        submission: the file.
        unreadable: image -> why its header cannot be read.
        budget: seconds.
        workers: number of workers at the end, at least 1.
        forward_seconds: inside networks, over all workers.
        published: index of the rung in the file, -1 for none.
        setbacks: image -> reason of its last task that failed or was not started.
        failure: what ended the run early, or kept all members from working.
        crash: the fault of this program that ended the loop, if one did.
        stopped: a signal ended the run.
        installed: the packages can be imported.
        placeholder: it was a commit run without test images.
    """

    ensemble: Ensemble
    state: LadderState
    choices: Sequence[Choice]
    submission: Submission
    unreadable: Mapping[str, str]
    budget: float
    workers: int
    forward_seconds: float
    published: int
    setbacks: Mapping[str, str]
    failure: str | None
    crash: str | None = None
    stopped: bool
    installed: bool
    placeholder: bool = False

    @property
    def only_rehearsed(self) -> bool:
        """Whether nothing had to be predicted, and nothing of the bundle was found wrong."""
        members = len(self.ensemble.members)
        works = self.failure is None and self.crash is None and len(self.state.losses.members) < members
        return self.placeholder and works and not self.stopped

    @property
    def predicted(self) -> int:
        """Number of rows in the file that hold a prediction."""
        return sum(origin != FALLBACK for origin in self.submission.origins.values())


def conclude(outcome: Outcome, report: RunReport) -> int:
    """Complete the report and print what was reached.

    Returns:
        0 if at least one row of the valid file was predicted, or a commit run had no test images. Else the
        file is the fallback: 1 after a fault of this program, 2 after bad input.
    """
    # 2 workers, 100 s of wall time, 150 s inside networks: 75 % of the time was used.
    wall = report.elapsed()
    utilisation = outcome.forward_seconds / (wall * outcome.workers)
    fine = outcome.predicted or outcome.only_rehearsed
    code = 0 if fine else BAD_INPUT if outcome.crash is None else CRASHED
    tasks = report.values.get("tasks", [])
    report.values.update(
        finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        state=outcome.submission.state,
        rungs=_rungs(outcome),
        forecasts=_forecasts(outcome, report.values["deadline"]),
        passes=_passes(outcome, tasks),
        images=_images(outcome),
        wall_seconds=round(wall, 3),
        forward_seconds=round(outcome.forward_seconds, 3),
        running_means=outcome.state.stored.averaging,
        workers=outcome.workers,
        utilisation=round(utilisation, 4),
        exit_code=code,
    )
    report.event("end")
    report.save(last=True)
    device = report.values.get("device", {}).get("model", "no device")
    share = f"{outcome.workers} {device}: {100 * utilisation:.0f} % of the time"
    forward = f"forward     {outcome.forward_seconds:.1f} s on {share}"
    lines = ["", *_reached(outcome, wall), forward, *_background_line(tasks), *_losses(outcome)]
    if not outcome.predicted:
        tell = wording.no_test_images if outcome.only_rehearsed else wording.nothing_predicted
        lines.append(tell(outcome.submission.path.name, _why_nothing(outcome)))
    report.say("\n".join(lines))
    return code


def _reached(outcome: Outcome, wall: float) -> Iterator[str]:
    file, total = outcome.submission, len(outcome.ensemble.rungs)
    rows = f"{outcome.predicted} of {len(file.ids)} rows predicted"
    yield f"submission  {file.path} ({file.state}; {rows})"
    done = [index for index in range(total) if _rung_state(outcome, index) == "done"]
    yield f"rungs       {len(done)} of {total} done{f', the best is {done[-1] + 1}' if done else ''}"
    rows_of = Counter(origin for origin in file.origins.values() if origin != FALLBACK)
    if len(rows_of) > 1:
        parts = (f"{number} of {origin}" for origin, number in sorted(rows_of.items()))
        yield f"rows        {', '.join(parts)}"
    if stopped := len(outcome.state.rungs.stopped):
        saved = saved_seconds(outcome.state, outcome.workers)
        yield f"stopped     {stopped} of {len(file.ids)} images early, which saved about {saved:.0f} s"
    if skipped := skipped_seconds(outcome.state, outcome.workers):
        yield f"confident   windows of dearer passes were skipped, which saved about {skipped:.0f} s"
    yield f"time        {wall:.1f} s of {outcome.budget:.0f} s"


def _background_line(tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if background := _background(tasks):
        share = 100 * background["skipped"] / background["windows"]
        yield f"background  {share:.0f} % of the windows hold no tissue and were not predicted"


def _losses(outcome: Outcome) -> Iterator[str]:
    state, ensemble = outcome.state, outcome.ensemble
    for refused in state.rungs.refused.values():
        yield f"not begun   {wording.not_started(refused)}"
    for member, reason in state.losses.members.items():
        yield f"dropped     {ensemble.members[member].name}: {reason}"
    for image, reason in {**outcome.unreadable, **state.losses.images}.items():
        yield f"fallback    image {image}: {reason}"


def _why_nothing(outcome: Outcome) -> str:
    """Say why not even one row was predicted."""
    lost = outcome.state.losses.members
    # From the most to the least certain reason.
    if outcome.failure is not None or outcome.crash is not None:
        return outcome.failure or outcome.crash or ""
    if not outcome.state.live_images():
        can = "can be read" if outcome.submission.ids else "is listed"
        return f"no image {can}: see the lines above"
    if len(lost) == len(outcome.ensemble.members):
        return f"no member works: {next(iter(lost.values()))}"
    if outcome.setbacks:
        image, reason = next(iter(outcome.setbacks.items()))
        return f"image {image}: {reason}"
    if outcome.stopped:
        return "a signal ended the run before the first row"
    what = "for a single image" if outcome.installed else "to install and import the packages"
    return f"the time was too short {what}: raise --budget"


def environment_facts() -> dict[str, Any]:
    """Return what the report says about the place of the run."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "image": os.environ.get("KAGGLE_DOCKER_IMAGE"),
        "run_type": os.environ.get("KAGGLE_KERNEL_RUN_TYPE"),
        "rerun": bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN")),
    }


def _rungs(outcome: Outcome) -> list[dict[str, Any]]:
    result = []
    for index, rung in enumerate(outcome.ensemble.rungs):
        row: dict[str, Any] = {"index": index, "passes": rung.passes, "cv": rung.cv}
        row["state"] = _rung_state(outcome, index)
        refused = outcome.state.rungs.refused.get(index)
        begun = outcome.state.rungs.begun.get(index)
        if begun is not None and begun.seconds is not None and begun.chance is not None:
            row["predicted_seconds"], row["chance"] = round(begun.seconds, 1), round(begun.chance, 3)
        if refused is not None and refused.seconds is not None:
            row["predicted_seconds"] = round(refused.seconds, 1)
        elif refused is not None:
            row["reason"] = refused.reason
        result.append(row)
    return result


def _forecasts(outcome: Outcome, deadline: float) -> list[dict[str, Any]]:
    """Return when the rungs of each route were to be done: early, median and late of nine courses in ten.

    Args:
        outcome: has the choices.
        deadline: seconds from the process's start until the last task had to be finished.
    """
    # Chosen with 100 s left of 240 s, and 30 s (25 to 40 s) to go: at 140 s, to be done at 165, 170 or 180 s.
    return [
        {
            "seconds": round(deadline - choice.left, 1),
            "rungs": choice.route.rungs,
            "ends": [
                [round(deadline - choice.left + time.at(step), 1) for step in _NINE_IN_TEN]
                for time in choice.route.times
            ],
        }
        for choice in outcome.choices
    ]


def _rung_state(outcome: Outcome, rung: int) -> str:
    state = outcome.state
    # "part of rung 1" is published, but not settled: it counts as incomplete.
    if rung <= outcome.published and state.settled(rung):
        return "done"
    if (refused := state.rungs.refused.get(rung)) is not None:
        return "no room" if refused.seconds is None else "too long"
    if rung in state.rungs.started:
        return "incomplete"
    return "passed over" if rung < outcome.published else "not begun"


def _passes(outcome: Outcome, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    done: list[list[Mapping[str, Any]]] = [[] for _ in outcome.ensemble.passes]
    for task in tasks:
        if task["kind"] == "pass" and "failed" not in task:
            done[task["index"]].append(task)
    return [
        {
            "index": index,
            "member": outcome.ensemble.members[item.member].name,
            "view": item.view,
            "images": len(own),
            "seconds": round(sum(task["end"] - task["begin"] for task in own), 3),
            "forward_seconds": round(sum(task["forward"] for task in own), 3),
            "expected_seconds_per_megapixel": item.seconds_per_megapixel,
            "seconds_per_megapixel": outcome.state.costs.measured(index),
        }
        | _background(own)
        for index, (item, own) in enumerate(zip(outcome.ensemble.passes, done, strict=True))
    ]


def _background(tasks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the windows without tissue, and all windows, of passes whose member skips them; else nothing."""
    looked = [task for task in tasks if "windows" in task]
    if not looked:
        return {}
    return {name: sum(task[name] for task in looked) for name in ("skipped", "windows")}


def _images(outcome: Outcome) -> list[dict[str, Any]]:
    submission = outcome.submission
    # A setback explains a row only if no later try gave one.
    reasons = {
        image: reason
        for image, reason in outcome.setbacks.items()
        if submission.origins.get(image) == FALLBACK
    }
    reasons |= {**outcome.unreadable, **outcome.state.losses.images}
    rungs = outcome.state.rungs
    return [
        {
            "id": image,
            "height": submission.sizes[image][0],
            "width": submission.sizes[image][1],
            "row": submission.origins.get(image, FALLBACK),
            "doubt": rungs.doubt(image),
            "stopped": image in rungs.stopped,
            "left": rungs.left.get(image, (0, None))[1],
            "reason": reasons.get(image),
        }
        for image in submission.ids
    ]
