"""The last lines of a run, the rest of report.json, and the exit code."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kit.errors import BAD_INPUT
from submission.runtime.work.supervisor import Supervisor


def conclude(supervisor: Supervisor) -> int:
    """Complete the report and print what was reached.

    Returns:
        0 with a valid file that holds at least one predicted row, 2 with the fallback only.
    """
    journal, schedule, submission = supervisor.journal, supervisor.schedule, supervisor.data.submission
    wall = journal.elapsed()
    workers = max(1, schedule.workers)
    journal.report.update(
        finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        state=submission.state,
        rungs=_rungs(supervisor),
        passes=_passes(supervisor),
        images=_images(supervisor),
        wall_seconds=round(wall, 3),
        forward_seconds=round(supervisor.forward_seconds, 3),
        folded=schedule.shelf.folds,
        workers=workers,
        utilisation=round(supervisor.forward_seconds / (wall * workers), 4),
    )
    journal.event("end")
    background = _background(journal.report.get("tasks", []))
    predicted = sum(origin != "fallback" for origin in submission.origins.values())
    code = 0 if predicted else BAD_INPUT
    journal.report["exit_code"] = code
    journal.save()
    device = journal.report.get("device", {}).get("model", "no device")
    rows = f"{predicted} of {len(submission.ids)} rows predicted"
    share = 100 * supervisor.forward_seconds / (wall * workers)
    lines = [
        "",
        f"submission  {submission.path} ({submission.state}; {rows})",
        f"rungs       {supervisor.published + 1} of {len(supervisor.ensemble.rungs)} done",
        f"time        {wall:.1f} s of {supervisor.options.budget:.0f} s",
        f"forward     {supervisor.forward_seconds:.1f} s on {workers} {device}: {share:.0f} % of the time",
    ]
    if background:
        share = 100 * background["skipped"] / background["windows"]
        lines.append(f"background  {share:.0f} % of the windows hold no tissue and were not predicted")
    if schedule.refused:
        rung, seconds = next(iter(schedule.refused.items()))
        slow = supervisor.ensemble.slowdown
        lines.append(
            f"not begun   rung {rung + 1}: would take {seconds:.0f} s, with a margin of {slow:g} too long"
        )
    for rung, reason in schedule.crowded.items():
        lines.append(f"not begun   rung {rung + 1}: {reason}")
    for member, reason in schedule.lost_members.items():
        lines.append(f"dropped     {supervisor.ensemble.members[member].name}: {reason}")
    for image, reason in {**supervisor.data.unreadable, **schedule.lost_images}.items():
        lines.append(f"fallback    image {image}: {reason}")
    if not predicted:
        why = _why_nothing(supervisor)
        lines.append(f"error: nothing was predicted; {submission.path.name} holds the fallback: {why}")
    journal.say("\n".join(lines))
    return code


def _why_nothing(supervisor: Supervisor) -> str:
    """Why not even one row was predicted."""
    schedule = supervisor.schedule
    if supervisor.failure is not None:
        return str(supervisor.failure)
    if not schedule.live_images():
        return "no image can be read: see the lines above"
    if len(schedule.lost_members) == len(supervisor.ensemble.members):
        return f"no member works: {next(iter(schedule.lost_members.values()))}"
    if supervisor.setbacks:
        image, reason = next(iter(supervisor.setbacks.items()))
        return f"image {image}: {reason}"
    if supervisor.stopped:
        return "a signal ended the run before the first row"
    return "the time was too short for a single image: raise --budget"


def environment_facts() -> dict[str, Any]:
    """What the report says about where it ran."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "image": os.environ.get("KAGGLE_DOCKER_IMAGE"),
        "run_type": os.environ.get("KAGGLE_KERNEL_RUN_TYPE"),
        "rerun": bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN")),
    }


def _rungs(supervisor: Supervisor) -> list[dict[str, Any]]:
    schedule, result = supervisor.schedule, []
    for index, rung in enumerate(supervisor.ensemble.rungs):
        if index <= supervisor.published and schedule.settled(index):
            state = "done"
        elif index in schedule.refused:
            state = "too long"
        elif index in schedule.crowded:
            state = "no room"
        elif index < schedule.admitted:
            state = "incomplete"
        else:
            state = "not begun"
        result.append(
            {"index": index, "passes": rung.passes, "cv": rung.cv, "state": state}
            | ({"predicted_seconds": round(schedule.refused[index], 1)} if index in schedule.refused else {})
            | ({"reason": schedule.crowded[index]} if index in schedule.crowded else {})
        )
    return result


def _passes(supervisor: Supervisor) -> list[dict[str, Any]]:
    tasks = supervisor.journal.report.get("tasks", [])
    result = []
    for index, item in enumerate(supervisor.ensemble.passes):
        own = [
            task
            for task in tasks
            if task["kind"] == "pass" and task["index"] == index and "failed" not in task
        ]
        result.append(
            {
                "index": index,
                "member": supervisor.ensemble.members[item.member].name,
                "view": item.view,
                "images": len(own),
                "seconds": round(sum(task["end"] - task["begin"] for task in own), 3),
                "forward_seconds": round(sum(task["forward"] for task in own), 3),
                "expected_seconds_per_megapixel": item.seconds_per_megapixel,
                "seconds_per_megapixel": supervisor.costs.measured(index),
            }
            | _background(own)
        )
    return result


def _background(tasks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Windows without tissue, and all, of passes whose member skips them; else nothing."""
    looked = [task for task in tasks if "windows" in task]
    if not looked:
        return {}
    return {name: sum(task[name] for task in looked) for name in ("skipped", "windows")}


def _images(supervisor: Supervisor) -> list[dict[str, Any]]:
    submission = supervisor.data.submission
    reasons = {
        image: reason
        for image, reason in supervisor.setbacks.items()
        if submission.origins.get(image) == "fallback"
    }
    reasons |= supervisor.data.unreadable | supervisor.schedule.lost_images
    return [
        {
            "id": image,
            "height": submission.sizes[image][0],
            "width": submission.sizes[image][1],
            "row": submission.origins.get(image, "fallback"),
            "reason": reasons.get(image),
        }
        for image in submission.ids
    ]
