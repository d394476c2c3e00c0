"""The held-out images of a recipe, from its stored out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import read_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.fusion import PassResult, fuse
from kit.local.competitions.labelled import LabelledData
from kit.local.pages.gallery import BUDGET, Gallery, make_gallery
from kit.local.sidecars import sidecar_path
from kit.predictions import Prediction
from kit.typed_json import convert
from train_local.data.prepared import Prepared
from train_local.report.runs import RunRecord
from train_local.runs import WEIGHTS


@dataclass(frozen=True)
class Pictures:
    """Held-out images of one recipe.

    Attributes:
        recipe: its name.
        view: under which they were predicted.
        gallery: all of them, worst first.
    """

    recipe: str
    view: str
    gallery: Gallery


def draw(
    prepared: Prepared, runs: Sequence[RunRecord], *, most: int, budget: int = BUDGET
) -> Pictures | None:
    """Judge every held-out image, and draw the worst and some of the best; None if nothing is predicted yet.

    Args:
        prepared: knows the images and their truth.
        runs: of one recipe.
        most: images with a picture, at most.
        budget: characters that the tiles of all pictures may have together.

    Raises:
        KitError: an image, its truth or a prediction cannot be read.
    """
    found: dict[str, tuple[Prediction | None, Prediction]] = {}
    labelled = LabelledData(prepared.source, prepared.data)
    view = ""
    for run in runs:
        if not (run.folder / "oof" / "oof.json").is_file():
            continue
        (views, of_views), member = _held_out(run.folder / "oof" / "oof.json"), _member(run)
        if not views:
            continue
        view = views[0]
        files = {key: name for key, name in of_views.get(view, {}).items() if key in prepared.images}
        truth = labelled.truth(files)
        for image_id, name in files.items():
            image = prepared.images[image_id]
            size = (image.height, image.width)
            passed = [PassResult(file=run.folder / "oof" / name, weight=1.0, member=member)]
            fused = fuse(passed, {}, size, kind=prepared.kind, image_id=image_id, info=image.info)
            found[image_id] = (truth[image_id], fused.prediction)
    if not found:
        return None
    made = make_gallery(
        prepared.competition, prepared.source, found, prepared.image_path, pictures=most, budget=budget
    )
    return Pictures(runs[0].recipe, view, made)


def _held_out(path: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Views, and view -> image -> file, of an `oof.json`."""
    value = read_json(path)
    known = value if isinstance(value, dict) else {}
    fix = "run the `train` command of this run again"
    views = convert(list[str], known.get("views"), "views", where=path, fix=fix)
    return views, convert(dict[str, dict[str, str]], known.get("files"), "files", where=path, fix=fix)


def _member(run: RunRecord) -> Member:
    """The member that made the predictions; its weights are not read here, so their hash is not checked."""
    path = sidecar_path(run.folder / WEIGHTS)
    record = read_json(path)
    try:
        return Member(
            name=f"{run.recipe}.fold{run.fold}",
            weights=WEIGHTS,
            sha256=record["sha256"],
            size=record["size"],
            network=record["network"],
            inference=record["inference"],
            requires=record["requires"],
        )
    except (KeyError, TypeError) as error:
        raise KitError(
            f"this JSON does not describe weights: {error}", where=path, fix="train the run again"
        ) from error
