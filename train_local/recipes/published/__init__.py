"""What the published solutions were trained with: every value, with the line of the source it comes from.

One JSON file for each recipe, one entry in it for each stage. `sources` names a line as `:53` of the stage's
`file`, or as REPOSITORY:PATH:LINE of another; `repositories` tells what a letter stands for, with the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.errors import KitError
from kit.typed_json import from_plain

SCHEMA = "train_local.published/1"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A value that the authors' text states in another way than their code.

    Attributes:
        path: of the value.
        text: what the text says.
        code: what the code does.
        source: where.
    """

    path: str
    text: Any
    code: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class PublishedStage:
    """One published training.

    Attributes:
        stage: 1, 2; None where there is one training only.
        file: the source file of most values, REPOSITORY:PATH.
        config: the values, nested; code before text.
        core: the most important ones, by path.
        sources: path -> line.
        inferred: paths of values that follow from others and stand nowhere.
        unknown: paths of values that nobody can know.
        conflicts: text against code.
        log: what the published log measured; {} where there is none.
    """

    stage: int | None
    file: str
    config: Mapping[str, Any]
    core: Mapping[str, Any]
    sources: Mapping[str, str]
    inferred: tuple[str, ...]
    unknown: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    log: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Published:
    """All published trainings of a recipe.

    Attributes:
        recipe: its name.
        competition: of it.
        repositories: letter -> repository and commit.
        stages: in order.
    """

    recipe: str
    competition: str
    repositories: Mapping[str, str]
    stages: tuple[PublishedStage, ...]


@dataclass(frozen=True, kw_only=True)
class PublishedCost:
    """What a published training cost, by its log.

    Attributes:
        gpu_hours: hours times GPUs; None if nobody measured it.
        gpu_memory_mb: most memory of one GPU; None likewise.
        gpu: the card, as the log names it; empty likewise.
    """

    gpu_hours: float | None
    gpu_memory_mb: float | None
    gpu: str


def names() -> list[str]:
    """Return the recipes whose values are here, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


@cache
def load(recipe: str) -> Published:
    """Return the published values of a recipe.

    Args:
        recipe: name without stage: "detectors-r50".

    Raises:
        KitError: there are none, or the file is damaged.
    """
    path = _FOLDER / f"{recipe}.json"
    if not path.is_file():
        raise KitError(
            f"no published values of recipe {recipe!r} are known", fix=f"known are {', '.join(names())}"
        )
    value = dict(read_json(path))
    if value.pop("schema", None) != SCHEMA:
        raise KitError(f"the file is no {SCHEMA}", where=path, fix="restore it from version control")
    return from_plain(Published, value, where=path)


def stage_of(recipe: str, stage: int | None) -> PublishedStage:
    """Return the published values of one stage.

    Raises:
        KitError: there are none.
    """
    for found in load(recipe).stages:
        if found.stage == stage:
            return found
    raise KitError(
        f"recipe {recipe!r} has no stage {stage}",
        where=_FOLDER / f"{recipe}.json",
        fix=f"`python -m train_local show {recipe}` shows the stages there are",
    )


def cost(recipe: str, stage: int | None) -> PublishedCost:
    """Return what one training of a recipe (one fold, one stage) cost its authors.

    Hours are those of the log; where only seconds per iteration are logged, these times the iterations. The
    kidney's README gives two hours and does not say for what; they are taken as those of one network's folds.

    Args:
        recipe: name without stage.
        stage: as in `PublishedStage`.

    Raises:
        KitError: nothing is known of the recipe.
    """
    published = stage_of(recipe, stage)
    log, config = published.log, published.config
    gpus = int(config["batch"]["gpus"])
    hours = log.get("wall_h")
    if hours is None and "s_per_iteration_wall" in log:
        hours = log["s_per_iteration_wall"] * config["length"]["n"] / 3600
    if hours is None and "readme" in log:
        hours = log["readme"]["train_h"] / _KIDNEY_FOLDS
    return PublishedCost(
        gpu_hours=None if hours is None else round(hours * gpus, 2),
        gpu_memory_mb=log.get("gpu_memory_mb_max"),
        gpu=str(log.get("gpu") or log.get("readme", {}).get("rig", "")),
    )


_KIDNEY_FOLDS = 4
