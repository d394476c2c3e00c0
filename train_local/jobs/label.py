"""Fuses teachers' predictions of unlabelled images to a set of pseudo labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.inference.fusion import PassResult, fuse
from kit.inference.instance_settings import InstanceFusion
from kit.local.console import track
from kit.predictions import Instances
from kit.typed_json import from_plain, to_plain
from train_local.claims import claim
from train_local.data import label_sets
from train_local.data.prepared import Prepared
from train_local.jobs.predict import images_of, read
from train_local.recipes.image_sets import PseudoRound


def label(
    folder: Path,
    identity: str,
    config: Mapping[str, Any],
    prepared: Prepared,
    predictions: Mapping[str, Path],
) -> None:
    """Fuse stored predictions, and write what has a high enough score as a label set.

    Args:
        folder: of the label set.
        identity: of the job.
        config: the round, in plain values.
        prepared: where the images are.
        predictions: name of the job -> folder of its predictions.

    Raises:
        KitError: a prediction is missing or damaged, or the disk is full.
    """
    wanted = from_plain(PseudoRound, config, where=f"round {config.get('name')}")
    settings = to_plain(fusion_of(wanted))
    claim(folder, identity, {"round": dict(config)})
    teachers = {name: read(place) for name, place in predictions.items()}
    ids = images_of(prepared, wanted.dataset, wanted.wsis)
    labels = {}
    for image_id in track(ids, total=len(ids), description=f"labels {wanted.label_set}"):
        image = prepared.image(image_id)
        results = [
            PassResult(file=predictions[name] / file, weight=1.0, member=teacher.member)
            for name, teacher in teachers.items()
            for file in teacher.files[image_id].values()
        ]
        size = (image.height, image.width)
        fused = fuse(results, settings, size, kind="instance", image_id=image_id, info=image.info)
        assert isinstance(fused.prediction, Instances)
        labels[image_id] = fused.prediction
    label_sets.write(
        folder,
        prepared,
        labels,
        identity=identity,
        round_name=wanted.name,
        threshold=wanted.threshold,
        teachers={name: teacher.identity for name, teacher in teachers.items()},
    )


def fusion_of(wanted: PseudoRound) -> InstanceFusion:
    """Return the fusion of a round: weighted boxes, masks by votes, closing, a least score.

    Raises:
        KitError: the round asks for objects that several teachers found, which this fusion cannot tell.
    """
    if wanted.votes > 1:
        raise KitError(
            f"round {wanted.name} wants {wanted.votes} teachers per object; the fusion keeps what one found",
            fix="set votes=1 and a higher threshold: the fused score of what few teachers found is low",
        )
    closing = wanted.closing > 0
    return InstanceFusion(
        iou=wanted.iou,
        skip_score=wanted.skip,
        morphology="closing" if closing else "none",
        morphology_size=wanted.closing if closing else 1,
        min_score=wanted.threshold,
    )
