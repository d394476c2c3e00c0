"""Label sets: instances that trained networks found on unlabelled images, stored with what made them.

A folder `<round>@<threshold>` holds `coco.json` (as `coco.py` writes it, and a score for each annotation)
and, written last, `labels.json`, which says which networks made the labels and how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit
from kit.artefacts import read_json, sha256_file, write_json
from kit.errors import KitError
from kit.masks import coco as codec
from kit.predictions import Instances
from kit.typed_json import from_plain, to_plain
from train_local.data import coco
from train_local.data.prepared import Prepared

SCHEMA = 1
NAME, COCO = "labels.json", "coco.json"
TRUTH = "truth"
"""Source of the annotations that people made."""


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """What `labels.json` says.

    Attributes:
        folder: where the files lie.
        identity: of the job that made it: the same one makes the same labels.
        round: its name.
        threshold: smallest score of a label.
        teachers: name of each run whose predictions were fused -> identity of that run.
        images: with and without labels.
        instances: labels.
        coco_sha256: hash of `coco.json`.
        code_version: that made it.
    """

    folder: Path
    identity: str
    round: str
    threshold: float
    teachers: dict[str, str]
    images: int
    instances: int
    coco_sha256: str
    code_version: str

    def coco(self, prepared: Prepared) -> dict[str, Any]:
        """Return the annotations.

        Args:
            prepared: has the images.

        Raises:
            KitError: the file was changed, or labels images that are not prepared or have another size.
        """
        path = self.folder / COCO
        if not path.is_file() or sha256_file(path) != self.coco_sha256:
            raise KitError(
                f"the labels of {self.round} are not those that {NAME} describes",
                where=path,
                fix=f"delete {self.folder} and run train-all again: it makes the labels anew",
            )
        value: dict[str, Any] = read_json(path)
        for image in value["images"]:
            known = prepared.image(image["id"])
            if (known.height, known.width) != (image["height"], image["width"]):
                raise KitError(
                    f"labels of image {known.id} are for {image['height']} x {image['width']} pixels, the "
                    f"image has {known.height} x {known.width}",
                    where=path,
                    fix=f"delete {self.folder} and run train-all again: it makes the labels anew",
                )
        return value


def write(
    folder: Path,
    prepared: Prepared,
    labels: Mapping[str, Instances],
    *,
    identity: str,
    round_name: str,
    threshold: float,
    teachers: Mapping[str, str],
) -> LabelSet:
    """Write a label set; `labels.json` comes last, so a folder without it is unfinished.

    Args:
        folder: to write to.
        prepared: has the images.
        labels: id -> instances with scores; those below `threshold` are left out, as are those without a
            pixel.
        identity: of the job.
        round_name: of the round.
        threshold: a label needs a higher score.
        teachers: run -> identity.

    Raises:
        KitError: an image is not prepared, or the disk is full.
    """
    (folder / NAME).unlink(missing_ok=True)
    kept = {image_id: _above(labels[image_id], threshold) for image_id in sorted(labels)}
    names = {image_id: prepared.image(image_id).path for image_id in kept}
    value = coco.whole(kept, names, description=f"{prepared.competition}: {round_name} at {threshold:g}")
    scores = [float(score) for item in kept.values() for score in item.scores]
    for entry, score in zip(value["annotations"], scores, strict=True):
        entry["score"] = score
    write_json(folder / COCO, value)
    made = LabelSet(
        folder=folder,
        identity=identity,
        round=round_name,
        threshold=threshold,
        teachers=dict(teachers),
        images=len(kept),
        instances=len(scores),
        coco_sha256=sha256_file(folder / COCO),
        code_version=kit.__version__,
    )
    plain = {key: item for key, item in to_plain(made).items() if key != "folder"}
    write_json(folder / NAME, {"schema": SCHEMA, **plain})
    return made


def _above(found: Instances, threshold: float) -> Instances:
    kept = [
        number
        for number, score in enumerate(found.scores)
        if score > threshold and len(codec.runs_of(found.masks[number], found.height, found.width))
    ]
    masks = [found.masks[number] for number in kept]
    return Instances(found.height, found.width, found.scores[kept], masks)


def load(folder: Path) -> LabelSet:
    """Read and check `labels.json`.

    Raises:
        KitError: missing or of another form.
    """
    path = folder / NAME
    if not path.is_file():
        raise KitError(
            f"the label set {folder.name} is not made yet",
            where=path,
            fix="run train-all: it trains the teachers and makes the labels first",
        )
    value = read_json(path)
    if isinstance(value, dict):
        value = {**value, "folder": folder}
    return from_plain(LabelSet, value, where=path, fix=f"delete {folder} and run again", schema=SCHEMA)


def merged(parts: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Put annotations of several sources together, as one COCO value.

    Annotation ids are given anew, from 1; each image and annotation says its source. So of the truth of 1211
    tiles and pseudo labels of 1101, annotation 1 is the first of the truth, and the first pseudo label comes
    right after the last of the truth.

    Args:
        parts: name of the source and its COCO value.

    Raises:
        KitError: two sources label one image.
    """
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for source, value in parts:
        for image in value["images"]:
            if image["id"] in images:
                raise KitError(
                    f"image {image['id']} is labelled by {images[image['id']]['source']} and by {source}",
                    where="recipe",
                    fix="let each image be in one of the recipe's data.sets only",
                )
            images[image["id"]] = {**image, "source": source}
        annotations += [
            {**entry, "id": len(annotations) + number, "source": source}
            for number, entry in enumerate(value["annotations"], 1)
        ]
    return {
        "info": {"description": " + ".join(source for source, _ in parts)},
        "images": list(images.values()),
        "categories": [dict(coco.CATEGORY)],
        "annotations": annotations,
    }
