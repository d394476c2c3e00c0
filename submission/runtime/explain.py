"""`--explain`: say what a run would do, in that order. Nothing is written, installed or started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kit.ensemble import Ensemble, Member
from kit.errors import KitError
from kit.manifest import Manifest
from kit.plan.costs import Costs, reserve_seconds
from submission.runtime.inputs.competition_data import Data, embedded, find_data
from submission.runtime.inputs.mounts import find_datasets
from submission.runtime.inputs.package_plan import Plan, make_plan, needed_by
from submission.runtime.result.report import counted
from submission.runtime.result.wording import no_gpu
from submission.runtime.script.options import Options
from submission.runtime.script.script import Script
from submission.runtime.work.device import cpu_count, gpu_slots


def explain(script: Script, options: Options) -> str:
    """Return the plan of a run, one line per decision.

    Args:
        script: the running predict.py.
        options: of the command line.
    """
    ensemble, manifests = embedded(script)
    data, problem = _data(ensemble, options)
    lines = [f"competition  {ensemble.competition}, {ensemble.kind} masks", *_about_data(data, problem)]
    lines += _datasets(options.input, manifests, data)
    plan = make_plan(needed_by(ensemble), manifests)
    lines += _packages(ensemble, plan)
    lines += _ladder(ensemble, options, data)
    return "\n".join(lines)


def _data(ensemble: Ensemble, options: Options) -> tuple[Data | None, KitError | None]:
    try:
        return find_data(ensemble, options), None
    except KitError as error:
        return None, error


def _about_data(data: Data | None, problem: KitError | None) -> Iterator[str]:
    if data is None:
        yield f"data         {problem}"
        return
    total = sum(data.megapixels.values())
    images = counted(len(data.submission.ids), "test image")
    yield f"data         {data.folder}: {images}, {total:.1f} megapixels"
    for note in data.notes:
        yield f"             {note}"
    for image, reason in data.unreadable.items():
        yield f"             image {image} would get the fallback row: {reason}"


def _datasets(root: Path, manifests: Sequence[Manifest], data: Data | None) -> Iterator[str]:
    datasets = find_datasets(root, manifests, data.folder if data is not None else None)
    for manifest in manifests:
        place = datasets.roots.get(manifest.dataset)
        size = sum(entry.size for entry in manifest.files)
        where = place or "not mounted with its manifest: its files would be looked for by content"
        held = f"{counted(len(manifest.files), 'file')}, {size / 1e6:.1f} MB"
        yield f"dataset      {manifest.dataset} ({held}): {where}"


def _packages(ensemble: Ensemble, plan: Plan) -> Iterator[str]:
    for choice in plan.choices:
        what = f"install {choice.entry.file}" if choice.entry is not None else "keep the image's"
        yield f"package      {choice.name}: {what} ({choice.reason})"
    for member, error in plan.errors.items():
        yield f"dropped      {ensemble.members[member].name}: {error}"


def _skips(member: Member) -> bool:
    return bool(member.inference.get("skip_background"))


def _ladder(ensemble: Ensemble, options: Options, data: Data | None) -> Iterator[str]:
    # As `work.workers` will choose, but without asking for memory or starting a process.
    gpus = [] if options.device == "cpu" else gpu_slots(os.environ)
    workers = options.workers or len(gpus) or cpu_count()
    device = f"{len(gpus)} GPU" if gpus else "CPU"
    reserve = reserve_seconds(options.budget, ensemble.reserve_seconds)
    if options.device == "cuda" and not gpus:
        yield f"device       {no_gpu()}"
    else:
        yield f"device       {device}, {counted(workers, 'worker')}"
    yield f"budget       {options.budget:.0f} s, of which {reserve:.0f} s are kept free at the end"
    costs, done = Costs(ensemble), set[int]()
    for index, item in enumerate(ensemble.passes):
        name = ensemble.members[item.member].name
        expected = f"{item.seconds_per_megapixel:.3g} s per megapixel expected"
        skips = ", windows without tissue skipped" if _skips(ensemble.members[item.member]) else ""
        yield f"pass {index + 1:<7} {name}, {item.view}: {expected}{skips}"
    for index, rung in enumerate(ensemble.rungs):
        known = "unknown" if rung.cv is None else f"{rung.cv:.4f}"
        text = f"rung {index + 1:<7} passes {rung.text}, cross-validation {known}"
        if data is not None:
            # Rung 2 with passes 1-4 after rung 1 with passes 1-2 takes passes 3 and 4 more.
            seconds = costs.seconds(sorted({*rung.passes} - done), data.megapixels, workers)
            text += f", {seconds:.0f} s more expected"
        done.update(rung.passes)
        yield text
