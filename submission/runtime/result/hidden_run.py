"""The forecast of the hidden run: as the value of "hidden_run" in report.json, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kit.ensemble import Ensemble
from kit.plan.hidden_run import Prospect, image_seconds, images_that_fit, objections
from kit.plan.measured import Measured
from submission.runtime.result.report import counted

_UNKNOWN = "the size of the hidden test set is not known: name hidden_images, or render with --hidden-images"


def begins(seconds: float) -> str:
    """The dry run starts."""
    return f"the submission is final. A dry run of the hidden run follows, of {seconds:.0f} s at most"


def no_forecast(problem: str) -> str:
    """The dry run came to nothing."""
    return f"hidden run  no forecast: {problem}"


def as_facts(
    facts: Mapping[str, Any], told: Prospect | None, ensemble: Ensemble, measured: Measured, budget: float
) -> dict[str, Any]:
    """Return the value of "hidden_run": what was measured, what is forecast, and the verdict.

    Args:
        facts: of the dry run.
        told: the forecast; None where the size of the hidden test set is not known.
        ensemble: of the script.
        measured: times of this machine.
        budget: seconds from start to end.
    """
    found: dict[str, Any] = {"budget": budget, **facts}
    last = len(ensemble.rungs) - 1
    found["seconds_per_image"] = round(image_seconds(ensemble, measured, last), 4)
    found["images_that_fit"] = images_that_fit(ensemble, measured, last, budget=budget)
    if told is not None:
        rung = told.course.rung
        found |= {
            "images": told.hidden.images,
            "megapixels": round(told.hidden.megapixels, 3),
            "rung": rung,
            "cv": None if rung is None else ensemble.rungs[rung].cv,
            "part": round(told.course.part),
            "run_seconds": round(told.course.seconds, 1),
            "rung_seconds": {str(index): round(second, 1) for index, second in told.course.done.items()},
            "disk": round(told.course.disk),
            "slower_same_rung": None if told.same is None else round(told.same, 2),
            "slower_first_rung": None if told.first is None else round(told.first, 2),
        }
    why = objections(told, facts)
    found["safe"] = not why if why or told is not None else None
    found["why"] = why or ([] if told is not None else [_UNKNOWN])
    return found


def lines(facts: Mapping[str, Any], ensemble: Ensemble) -> Iterator[str]:
    """Yield what people read of the value of "hidden_run"."""
    members, images = len(ensemble.members), counted(facts["images_measured"], "image")
    yield (
        f"dry run     {facts['members_measured']} of {counted(members, 'member')} measured on {images} in "
        f"{facts['seconds']:.0f} s"
    )
    if problems := facts["problems"]:
        yield f"            {counted(len(problems), 'problem')}; the first: {problems[0]}"
    if "images" in facts:
        yield from _forecast(facts, len(ensemble.rungs))
    else:
        yield (
            f"hidden run  {facts['seconds_per_image']:.3g} s an image for all rungs; about "
            f"{facts['images_that_fit']} images like these would fit"
        )
    total = facts["memory_total"]
    of = f" of {total / 1e9:.1f}" if total else ""
    room = f"; disk {facts['disk'] / 1e9:.2f} of {facts['disk_free'] / 1e9:.1f} GB" if "disk" in facts else ""
    yield f"            memory {facts['memory_peak'] / 1e9:.1f}{of} GB{room}"
    why = f": {'; '.join(facts['why'])}" if facts["why"] else ""
    if facts["safe"] is None:
        yield f"hidden run  not known{why}"
    else:
        yield f"verdict     {'safe to submit' if facts['safe'] else 'not safe to submit'}{why}"


def _forecast(facts: Mapping[str, Any], rungs: int) -> Iterator[str]:
    size = f"{counted(facts['images'], 'image')} of {facts['megapixels']:.4g} megapixels"
    unit, one = ("hours", 3600) if facts["budget"] >= 3600 else ("s", 1)
    hours = f"{facts['run_seconds'] / one:.4g} of {facts['budget'] / one:.4g} {unit}"
    if facts["rung"] is None:
        yield f"hidden run  {size}: not even the first rung is done in {hours}"
        return
    cv = "unknown" if facts["cv"] is None else f"{facts['cv']:.4f}"
    part = f", and {facts['part']} % of the images better" if facts["part"] else ""
    yield f"hidden run  {size}: rung {facts['rung'] + 1} of {rungs}, cv {cv}{part}, in {hours}"
    yield (
        f"            a machine up to {facts['slower_same_rung']:.2f} x slower still reaches this rung, "
        f"{facts['slower_first_rung']:.2f} x slower still finishes the first"
    )
