"""How the weights of an ensemble are shipped: options of `bundle build`, and what they do to the files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from bundle.shards import bytes_of
from bundle.weights import CheckedWeights, Dtype, effective
from kit import competitions
from kit.artefacts import sha256_file
from kit.command_line import option
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.console import progress
from kit.local.wording import counted
from kit.typed_json import above, at_least

if TYPE_CHECKING:
    from bundle.score_change import Change  # needs numpy, which `--help` does without

_DECIMALS = 6


@dataclass(frozen=True, kw_only=True)
class WeightsForm:
    """Form of the shipped weights.

    Attributes:
        dtype: format of their numbers; None ships the files as they are.
        data: the competition's folder; the score change of a smaller format is measured on its images.
        runs: training runs, which say what images a member did not train on.
        images: of each member that are scored, at most.
        max_change: of a score; more is an error.
        device: where the scores are computed.
        weights_cache: folder of cast files and shards. `cache` would take the value of build's `--cache`.
        shard_size: largest file of weights; larger ones are divided. None divides none.
    """

    dtype: Dtype | None = field(
        default=None,
        metadata=option("number format of the weights (default: as they are)", flag="--weights-dtype"),
    )
    data: Path | None = field(
        default=None,
        metadata=option("competition's folder, to score --weights-dtype", metavar="DIR"),
    )
    runs: Path | None = field(
        default=None,
        metadata=option("training runs: score each member on images it did not train on", metavar="DIR"),
    )
    images: Annotated[int, at_least(1)] = field(
        default=16, metadata=option("images scored for each member", flag="--measure-images", metavar="N")
    )
    max_change: Annotated[float, above(0)] = field(
        default=0.001, metadata=option("largest change of a score by --weights-dtype", metavar="X")
    )
    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata=option("where the score change is measured")
    )
    weights_cache: Path = field(
        default=Path("build/weights"), metadata=option("cast weights and shards", metavar="DIR")
    )
    shard_size: int | None = field(
        default=None,
        metadata=option("divide larger files of weights, e.g. 2GB", metavar="SIZE", read=bytes_of),
    )


@dataclass(frozen=True)
class Shipped:
    """Weights in the form in which they are shipped.

    Attributes:
        files: by member, in the ensemble's order.
        note: a sentence about the form for the dataset's page; empty if the files are as they were trained.
    """

    files: list[CheckedWeights]
    note: str = ""


def shipped(plan: Ensemble, checked: Sequence[CheckedWeights], form: WeightsForm, where: Path) -> Shipped:
    """Bring checked weights into the form in which they are shipped; measure what that costs.

    Args:
        plan: the ensemble.
        checked: its members' weights, in its order.
        form: as the user asks for it.
        where: file of the ensemble, for messages.

    Raises:
        KitError: a value does not fit the format, nothing to measure with was given, or a score changes by
            more than the limit.
    """
    for option_name, folder in (("--data", form.data), ("--runs", form.runs)):
        if folder is not None and not folder.is_dir():
            raise KitError("there is no such folder", where=folder, fix=f"correct {option_name}")
    if form.dtype is None:
        return Shipped(list(checked))
    if form.dtype != "float32" and form.data is None:
        raise KitError(
            f"nobody knows yet what {form.dtype} weights do to the score",
            where="--weights-dtype",
            fix="give the competition's folder with --data (and the training runs with --runs)",
        )
    files: list[CheckedWeights] = []
    with progress(transient=True) as display:
        task = display.add_task(f"weights as {form.dtype}", total=len(checked), note="")
        for item in checked:
            files.append(_cast(item, form.dtype, form.weights_cache))
            display.advance(task)
    changed = [new.name for old, new in zip(checked, files, strict=True) if new.sha256 != old.sha256]
    note = f" Weights are {form.dtype}."
    # A network computes in float32, so float32 files of float16 weights give the same numbers.
    if not changed or form.dtype == "float32" or form.data is None:
        return Shipped(files, note)
    from bundle import score_change  # needs numpy, which `--help` does without

    changes = score_change.measure(
        score_change.Version(ensemble=plan, files=[item.path for item in checked]),
        score_change.Version(ensemble=effective(plan, files), files=[item.path for item in files]),
        form.data,
        runs=form.runs,
        images=form.images,
        device=form.device,
    )
    metric = competitions.of(plan).metric
    score_change.show(changes, metric, form.dtype)
    score_change.require_small(changes, form.max_change, form.dtype, where)
    by_name = {member.name: change for member, change in zip(plan.members, changes, strict=False)}
    files = [
        _with_score(item, metric, by_name[member.name])
        for member, item in zip(plan.members, files, strict=True)
    ]
    total = changes[-1]
    what = counted(total.images, "held-out image" if total.held_out else "image")
    note += f" {metric} of the ensemble on {what}: {total.before:.5f} as trained, {total.after:.5f} now."
    return Shipped(files, note)


def _cast(item: CheckedWeights, dtype: Dtype, cache: Path) -> CheckedWeights:
    from bundle.cast import cast  # loads torch, which --help does not need

    path = cast(item.path, item.sha256, dtype, cache)
    if path == item.path:
        return item
    record = {"from": item.sha256, "dtype": dtype}
    return dataclasses.replace(
        item,
        path=path,
        size=path.stat().st_size,
        sha256=sha256_file(path),
        run={**(item.run or {}), "cast": record},
    )


def _with_score(item: CheckedWeights, metric: str, change: Change) -> CheckedWeights:
    """Put a measured change into the history that the manifest tells of a file."""
    run = item.run or {}
    if "cast" not in run:
        return item
    measured = {
        "metric": metric,
        "images": change.images,
        "held_out": change.held_out,
        "before": round(change.before, _DECIMALS),
        "after": round(change.after, _DECIMALS),
    }
    return dataclasses.replace(item, run={**run, "cast": {**run["cast"], "score": measured}})
