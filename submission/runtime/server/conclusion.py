"""The last lines of a server's run, the rest of report.json, and the exit code."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kit.errors import BAD_INPUT
from submission.runtime.result.report import RunReport, counted
from submission.runtime.result.summary import FALLBACK
from submission.runtime.server.engine import Engine
from submission.runtime.server.journal import Journal
from submission.runtime.server.package import RERUN

_NO_DRY_RUN = "an inference server makes no dry run: what its own calls take is what the hidden run's will"
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
    committed = os.environ.get(RERUN) is None
    if committed:
        report.values["hidden_run"] = {"problem": _NO_DRY_RUN}
    report.event("end")
    report.save(last=True)
    lines = [
        "",
        f"calls       {progress.calls} with {counted(progress.images, 'image')}",
        f"rows        {told}",
        f"time        {report.elapsed():.1f} s of {report.values['budget']:.0f} s",
    ]
    if committed:
        images = None if engine is None else engine.endpoint.images
        lines += pace_told(report.values.get("calls", ()), images, report.values["budget"])
    if progress.images and not predicted:
        lines.append(f"error: nothing was predicted: {failure or 'see the lines above'}")
    report.say("\n".join([*lines, *([] if progress.calls else [_ASKED_NOTHING])]))
    return code


def pace_told(calls: Sequence[Mapping[str, Any]], images: int | None, budget: float) -> Iterator[str]:
    """Yield the lines about the hidden run that the calls of a commit run allow.

    Args:
        calls: as report.json has them.
        images: of a hidden run; None if nothing could be predicted.
        budget: seconds from start to end.
    """
    yield f"hidden run  {_NO_DRY_RUN}"
    # The first call waits for the installation. Calls of 2 + 2 + 1 images in 60 + 8 + 4 s: 12 s for 3 images,
    # so 900 images take 3600 s.
    later = calls[1:]
    if images is None or not (number := sum(call["images"] for call in later)):
        yield "            there was no call after the first, which has the set-up in it"
        return
    each = sum(call["seconds"] for call in later) / number
    yield (
        f"            {each:.3g} s an image in the calls after the first: {each * images:.0f} s of "
        f"{budget:.0f} s for the {counted(images, 'image')} that hidden_images names"
    )


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
