"""Predict validation images with the engine that runs on Kaggle, and score them as the competition does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from kit.ensemble import Member
from kit.inference.runner import PassResult, fuse, result_file, run_pass
from kit.local.competitions import scores
from kit.local.competitions.labelled import LabelledData
from kit.models import Network
from kit.predictions import Prediction
from train_local.data.image_choice import labelled_ids
from train_local.data.prepared import Prepared
from train_local.monitor.validation_pictures import ValidationPictures
from train_local.recipes.base import Recipe, stage_fold
from train_local.runs import Run
from train_local.validation.tile_dice import tile_dice


@dataclass(frozen=True)
class Predicted:
    """The result of one pass over one image.

    Attributes:
        view: the view of the image.
        image_id: of the image.
        path: of the stored map or detections.
        seconds: duration, reading included; 0 if the result was there already.
    """

    view: str
    image_id: str
    path: Path
    seconds: float


def member_of(run: Run, prepared: Prepared, *, sha256: str, size: int) -> Member:
    """Return the ensemble member that a run's weights make.

    If all images the run trained on have one pixel size, the member's windows get that pixel size: images of
    another pixel size are then seen at the same micrometres. A recipe with a pixel size of its own keeps it.

    Args:
        run: that trained them.
        prepared: on what.
        sha256: of the weights, or any text that names this state of the network.
        size: bytes of the weights file.
    """
    network, inference = run.recipe.network.as_dict(), run.recipe.inference_dict()
    # {0.5} is one size; {0.4, 0.5} are two; {None} and {None, 0.5} have an image of unknown size.
    seen = {prepared.images[image_id].pixel_size for image_id in prepared.fold(run.fold).train}
    if prepared.kind == "semantic" and "size" not in inference and len(seen) == 1 and None not in seen:
        inference.setdefault("pixel_size", seen.pop())
    return Member(
        name=run.name,
        weights=f"{run.name}.safetensors",
        sha256=sha256,
        size=size,
        network=network,
        inference=inference,
        requires=list(run.recipe.network.spec.requires),
    )


def predict(
    module: Network,
    member: Member,
    prepared: Prepared,
    ids: Sequence[str],
    views: Sequence[str],
    *,
    out: Path,
    device: torch.device,
    on_image: Callable[[Predicted], None] | None = None,
) -> list[Predicted]:
    """Predict images under views, view by view.

    Args:
        module: in eval mode on `device`.
        member: its identity and settings.
        prepared: where the images are.
        ids: images.
        views: names or sets of names of `kit.inference.views`, with scales.
        out: root of the stored passes; what is there already is kept.
        device: where the module is.
        on_image: called with each finished result.

    Raises:
        KitError: an image cannot be read, the disk is full, or the network gives values that are no numbers.
    """
    done = []
    reading = prepared.source.reading
    for view in views:
        for image_id in ids:
            info, image = prepared.images[image_id].info, prepared.image_path(image_id)
            # `run_pass` returns at once if the result exists. Its time would say nothing about the network,
            # so it is multiplied by False and counts as 0.
            fresh = not result_file(out, member, view, image_id, info=info).is_file()
            began = time.perf_counter()
            path = run_pass(
                module, member, view, image_id, image, out, device=device, info=info, reading=reading
            )
            done.append(Predicted(view, image_id, path, (time.perf_counter() - began) * fresh))
            if on_image is not None:
                on_image(done[-1])
    return done


def fused(
    prepared: Prepared, results: Mapping[str, Sequence[PassResult]], settings: Mapping[str, Any]
) -> dict[str, Prediction]:
    """Return the predictions of some passes by image id, fused exactly as on Kaggle.

    Args:
        prepared: knows the images' sizes and infos.
        results: image id -> its passes' results.
        settings: of the fusion, as a rung has them; {} takes the defaults.
    """
    predictions = {}
    for image_id, of_image in results.items():
        image = prepared.images[image_id]
        size = (image.height, image.width)
        predictions[image_id] = fuse(
            of_image, settings, size, kind=prepared.kind, image_id=image_id, info=image.info
        ).prediction
    return predictions


def score(
    prepared: Prepared, predictions: Mapping[str, Prediction], truth: Mapping[str, Prediction]
) -> float:
    """Return the competition's metric, negated where lower is better.

    Args:
        prepared: knows the competition.
        predictions: by image id.
        truth: image id -> truth, of these images at least.
    """
    return scores.score(prepared.source, {key: truth[key] for key in predictions}, predictions).gain


def held_out(run: Run, prepared: Prepared) -> list[str]:
    """Return the images of the fold's validation part that neither the run nor an earlier stage trains on.

    A full-data member trains on all images, those of the validation part too, and has none.
    """
    trained: set[str] = set()
    stage: Recipe | None = run.recipe
    fold = run.fold
    while stage is not None:
        trained.update(labelled_ids(prepared, fold, stage.data.sets))
        stage = stage.earlier_stage
        fold = fold if stage is None else stage_fold(stage, fold)
    return [image_id for image_id in prepared.fold(run.fold).valid if image_id not in trained]


@contextmanager
def scratch_folder(folder: Path, fabric: Fabric) -> Iterator[None]:
    """Let all processes of a run use a folder that is empty before and gone afterwards.

    Stored predictions carry the step in their names, but not that of a process that died at the same step
    with other weights.
    """
    if fabric.global_rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
    fabric.barrier()
    yield
    fabric.barrier()
    if fabric.global_rank == 0:
        shutil.rmtree(folder, ignore_errors=True)


class Validation:
    """Computes the metric of a fold's held-out images for a network in training.

    Attributes:
        ids: the images; none for a full-data member.
        metric: name of the competition's metric.
        tiles: Dice of the tiles of held-out objects, of the weights validated last; None where the recipe was
            not published with it.
        pictures: name -> RGB picture (H, W, 3) of the last validation, of a few images.
    """

    def __init__(self, run: Run, prepared: Prepared) -> None:
        self._run, self._prepared = run, prepared
        self.ids = held_out(run, prepared)
        self._truth = LabelledData(prepared.source, prepared.data).truth(self.ids) if self.ids else {}
        self.metric = prepared.source.metric
        self.tiles: float | None = None
        self._tile_dice = tile_dice(prepared, run.recipe, self.ids)
        self._draw = ValidationPictures(prepared, self.ids, self._truth).draw
        self.pictures: Mapping[str, NDArray[np.uint8]] = {}

    def __call__(self, module: Network, step: int, scratch: Path, *, fabric: Fabric) -> float:
        """Return the metric under the recipe's views of a validation, fused as on Kaggle.

        Several processes share the images; all get the same metric.

        Args:
            module: in eval mode on the device of this process.
            step: of the training; tells stored passes apart.
            scratch: folder for them, emptied by the caller.
            fabric: of this process.
        """
        # The weights of this step have no file and no hash; the step in hexadecimal digits stands for it.
        member = member_of(self._run, self._prepared, sha256=f"{step:064x}", size=0)
        views = self._run.recipe.validation.views

        def passes(ids: Sequence[str]) -> list[Predicted]:
            return predict(module, member, self._prepared, ids, views, out=scratch, device=fabric.device)

        if fabric.world_size > 1:
            passes(self.ids[fabric.global_rank :: fabric.world_size])
            fabric.barrier()
        if fabric.global_rank > 0:
            return float(fabric.broadcast(0.0))
        results: dict[str, list[PassResult]] = {}
        # What other processes have predicted is there already, and is not predicted again.
        for item in passes(self.ids):
            results.setdefault(item.image_id, []).append(
                PassResult(file=item.path, weight=1.0, member=member)
            )
        predictions = fused(self._prepared, results, {})
        value = score(self._prepared, predictions, self._truth)
        if self._tile_dice is not None:
            self.tiles = self._tile_dice(module, fabric.device)
        self.pictures = self._draw(predictions)
        return float(fabric.broadcast(value)) if fabric.world_size > 1 else value
