"""Measure each recipe's augmentation beside the libraries' own Compose with the same operations."""

from __future__ import annotations

import json
import random as python_random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.augmentation_peers import albumentations_peer, mmdet_peer, of_organ
from benchmarks.rounds import in_turns, median_ratio
from kit.local.console import console
from train_local import augment, recipes
from train_local.augment import ByOrgan
from train_local.augment.spec import AnyOperation
from train_local.recipes.base import Recipe

HEAD = ("pipeline", "side", "masks", "peer", "peer /s", "ours /s", "ours / peer")
"""Examples per second on one core. `ours / peer`: median of the rounds' ratios; above 1 ours is quicker."""

_INSTANCES = 24
_EXAMPLES = 4


@dataclass
class Pipeline:
    """One augmentation that one or several recipes share.

    Attributes:
        operations: of the recipes.
        side: of an example in pixels.
        instances: whether there is a mask for each instance.
        organ: for which organ the operations are.
        names: of the recipes.
    """

    operations: Sequence[AnyOperation]
    side: int
    instances: bool
    organ: str | None
    names: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The first recipe, the organ, and how many more recipes there are."""
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"{self.names[0]}{f', {self.organ}' if self.organ else ''}{more}"


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`, one for each different pipeline.

    Args:
        small: examples of 256 pixels unless the pipeline cuts at fixed places.
        rounds: measured turns of each way; a turn makes four examples, each round new ones.
    """
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        for pipeline in pipelines():
            console().print(f"measuring {pipeline.label} ...")
            side = 256 if small and pipeline.organ is None else pipeline.side
            yield _row(pipeline, side, rounds)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def pipelines() -> list[Pipeline]:
    """The different augmentations of all recipes at published size, stages included."""
    found: dict[str, Pipeline] = {}
    for name in [*recipes.stage_names(), *recipes.teacher_names(), *recipes.names()]:
        recipe = recipes.get(name)
        for organ, operations in _by_organ(recipe).items():
            pipeline = Pipeline(operations, _side(recipe), recipe.kind == "instance", organ)
            key = json.dumps([str(of_organ(operations, organ)), pipeline.side])
            found.setdefault(key, pipeline).names.append(name)
    return list(found.values())


def _by_organ(recipe: Recipe) -> Mapping[str | None, Sequence[AnyOperation]]:
    for operation in recipe.augment:
        if isinstance(operation, ByOrgan):
            return dict.fromkeys(operation.organs, recipe.augment)
    return {None: recipe.augment}


def _side(recipe: Recipe) -> int:
    """Pixels of an example before augmentation: tiles of 512 enlarged, crops of a tile, or whole images."""
    data = recipe.data
    if recipe.kind == "instance":
        return round(512 * data.scale)
    if any(isinstance(operation, ByOrgan) for operation in recipe.augment):
        return 2000
    return data.crop or round((data.tile or 1024) * data.scale)


def _row(pipeline: Pipeline, side: int, rounds: int) -> list[str]:
    image_HWC, masks_NHW = _example(side, _INSTANCES if pipeline.instances else 1)
    peer: Callable[[int], object]
    if pipeline.instances:
        peer, name = mmdet_peer(pipeline.operations, image_HWC, masks_NHW), "mmdet"
        ours = partial(_instances, pipeline, image_HWC, masks_NHW)
    else:
        mask_HW = masks_NHW[0].astype(np.uint8) * 255
        peer = albumentations_peer(pipeline.operations, pipeline.organ, image_HWC, mask_HW)
        name = "albumentations"
        ours = partial(_semantic, pipeline, image_HWC, mask_HW)
    steps = {"ours": partial(_turn, ours, count()), "peer": partial(_turn, peer, count())}
    seconds = in_turns(steps, rounds)
    rates = [f"{_EXAMPLES / statistics.median(seconds[way]):.1f}" for way in ("peer", "ours")]
    ratio = median_ratio(seconds["peer"], seconds["ours"])
    masks = str(_INSTANCES) if pipeline.instances else "1"
    return [pipeline.label, str(side), masks, name, *rates, f"{ratio:.2f}"]


def _instances(
    pipeline: Pipeline, image_HWC: NDArray[np.uint8], masks_NHW: NDArray[np.bool_], seed: int
) -> object:
    return augment.instances(pipeline.operations, image_HWC, masks_NHW, np.random.default_rng(seed))


def _semantic(
    pipeline: Pipeline, image_HWC: NDArray[np.uint8], mask_HW: NDArray[np.uint8], seed: int
) -> object:
    random = np.random.default_rng(seed)
    return augment.semantic(pipeline.operations, image_HWC, mask_HW, random, organ=pipeline.organ)


def _turn(way: Callable[[int], object], seeds: Iterator[int]) -> None:
    """Make the next examples; the same seeds draw other numbers in another library."""
    for seed in islice(seeds, _EXAMPLES):
        np.random.seed(seed)  # noqa: NPY002 - mmdet draws from it
        python_random.seed(seed)
        way(seed)


def _example(side: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A blurred image and discs that do not overlap."""
    random = np.random.default_rng(0)
    noise_HWC = random.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    image_HWC = cv2.resize(noise_HWC, (side, side), interpolation=cv2.INTER_CUBIC)
    rows = int(np.ceil(number**0.5))
    masks_NHW = np.zeros((number, side, side), np.uint8)
    for place, mask_HW in enumerate(masks_NHW):
        y, x = divmod(place, rows)
        centre = (round((x + 0.5) * side / rows), round((y + 0.5) * side / rows))
        cv2.circle(mask_HW, centre, side // rows // 4, 1, thickness=-1)
    return image_HWC, masks_NHW.astype(bool)
