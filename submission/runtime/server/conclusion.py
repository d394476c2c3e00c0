"""The last lines of a server's run, the rest of report.json, and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kit.errors import BAD_INPUT
from submission.runtime.result.report import RunReport, counted
from submission.runtime.result.summary import FALLBACK
from submission.runtime.server.engine import Engine
from submission.runtime.server.journal import Journal

_ASKED_NOTHING = "the gateway asked for nothing: a commit run may have no image; look whether it should"


def conclude(
    engine: Engine | None, journal: Journal, report: RunReport, code: int, failure: str | None
) -> int:
    """Complete the report and print what was reached.

    Args:
        engine: that predicted; None if it could not be made.
        journal: of the run.
        report: of the run.
        code: exit code so far.
        failure: why nothing can be predicted; None if nobody knows a reason.

    Returns:
        The exit code: 2 if images came and not one row was predicted, else the one so far.
    """
    rows = Counter(image["row"] for image in report.values.setdefault("images", []))
    predicted = rows.total() - rows[FALLBACK]
    if engine is not None and engine.scratch is not None:
        failure = failure or _failure(engine)
        report.values.update(_measured(engine, rows, report.elapsed()))
    progress = journal.progress
    if code == 0 and progress.images and not predicted:
        code = BAD_INPUT
    told = ", ".join(f"{number} of {origin}" for origin, number in sorted(rows.items())) or "none"
    report.values.update(
        state=f"rows: {told}",
        calls_answered=progress.calls,
        failure=failure,
        exit_code=code,
    )
    report.event("end")
    report.save()
    lines = [
        "",
        f"calls       {progress.calls} with {counted(progress.images, 'image')}",
        f"rows        {told}",
        f"time        {report.elapsed():.1f} s of {report.values['budget']:.0f} s",
    ]
    if progress.images and not predicted:
        lines.append(f"error: nothing was predicted: {failure or 'see the lines above'}")
    report.say("\n".join([*lines, *([] if progress.calls else [_ASKED_NOTHING])]))
    return code


def _failure(engine: Engine) -> str | None:
    broken = engine.workers.broken or engine.events.failure
    return None if broken is None else str(broken)


def _measured(engine: Engine, rows: Mapping[str, int], wall: float) -> dict[str, Any]:
    """Return what `submit` and pages need of the run; a rung is done if no image stopped below it."""
    ensemble = engine.ensemble
    total = len(ensemble.rungs)
    lowest = min((index for index in range(total) if rows.get(f"rung {index + 1}")), default=-1)
    if rows.get(FALLBACK):
        lowest = -1
    passes = [
        {
            "index": index,
            "member": ensemble.members[item.member].name,
            "view": item.view,
            "images": engine.images_of[index],
            "seconds": round(engine.seconds_of[index], 3),
            "expected_seconds_per_megapixel": item.seconds_per_megapixel,
            "seconds_per_megapixel": engine.costs.measured(index),
        }
        for index, item in enumerate(ensemble.passes)
    ]
    rungs = [
        {
            "index": index,
            "passes": rung.passes,
            "cv": rung.cv,
            "state": "done" if index <= lowest else "not begun",
        }
        for index, rung in enumerate(ensemble.rungs)
    ]
    workers, forward = max(1, engine.workers.wanted), engine.forward_seconds
    return {
        "wall_seconds": round(wall, 3),
        "workers": workers,
        "passes": passes,
        "rungs": rungs,
        "forward_seconds": round(forward, 3),
        "utilisation": round(forward / (wall * workers), 4),
    }
