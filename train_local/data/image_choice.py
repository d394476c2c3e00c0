"""Which images a recipe trains on: those that its `data.sets` name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.errors import KitError
from train_local.data import label_sets
from train_local.data.prepared import Prepared
from train_local.recipes.settings import ImageSet

_ALL = (ImageSet(),)


def labelled_ids(prepared: Prepared, fold: int, sets: Sequence[ImageSet]) -> list[str]:
    """Return the images with truth that a recipe trains on, sorted.

    Args:
        prepared: the data.
        fold: index.
        sets: of the recipe; () is the fold's training part.

    Raises:
        KitError: there is no such fold, or a set has no image.
    """
    found = {
        image_id for part in sets or _ALL if part.labels is None for image_id in _of(prepared, fold, part)
    }
    return sorted(found)


def _of(prepared: Prepared, fold: int, part: ImageSet) -> list[str]:
    # Where images have no dataset number, "all of dataset 2" would be all there are, held-out ones too.
    numbered = part.dataset is None or any(image.dataset is not None for image in prepared.images.values())
    everything = part.part == "all" and numbered
    ids = tuple(prepared.images) if everything else prepared.fold(fold).train
    chosen = [image_id for image_id in ids if _is_in(prepared, image_id, part)]
    if not chosen:
        raise KitError(
            f"no training image of fold {fold} belongs to {_name(part)}",
            where=prepared.root,
            fix="check tile_meta.csv, or the recipe's data.sets",
        )
    return chosen


def _is_in(prepared: Prepared, image_id: str, part: ImageSet) -> bool:
    image = prepared.image(image_id)
    # In a competition whose images have no dataset number, sets of the vasculature would leave nothing.
    if image.dataset is None:
        return True
    return part.dataset in (None, image.dataset) and (part.wsis is None or image.group in part.wsis)


def _name(part: ImageSet) -> str:
    dataset = f"dataset {part.dataset}" if part.dataset is not None else "any dataset"
    return dataset + (f", WSI {', '.join(part.wsis)}" if part.wsis is not None else "")


def coco_of(prepared: Prepared, fold: int, sets: Sequence[ImageSet], labels: Path | None) -> dict[str, Any]:
    """Return the annotations a recipe trains on: truth, and the label sets of its pseudo-label rounds.

    Args:
        prepared: the data.
        fold: index.
        sets: of the recipe.
        labels: folder of the label sets.

    Raises:
        KitError: as `labelled_ids`; a label set is not made yet; or two of the sets label one image.
    """
    ids = set(labelled_ids(prepared, fold, sets))
    parts = [(label_sets.TRUTH, _only(read_json(prepared.coco_path), ids))]
    for part in sets:
        if part.labels is None:
            continue
        if labels is None:
            raise KitError(
                f"the recipe needs the label set {part.labels.label_set}",
                where="recipe",
                fix="train it with train-all, which makes the labels",
            )
        value = label_sets.load(labels / part.labels.label_set).coco(prepared)
        inside = {image["id"] for image in value["images"] if _is_in(prepared, image["id"], part)}
        parts.append((part.labels.label_set, _only(value, inside)))
    return label_sets.merged(parts)


def _only(value: dict[str, Any], ids: set[str]) -> dict[str, Any]:
    return {
        **value,
        "images": [image for image in value["images"] if image["id"] in ids],
        "annotations": [entry for entry in value["annotations"] if entry["image_id"] in ids],
    }
