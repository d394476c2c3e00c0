"""Compare the speed of our instance fusion (boxes and masks) with ensemble-boxes, which fuses boxes alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rounds import in_turns, median_ratio
from kit.errors import KitError
from kit.inference.boxes import Clusters, weighted_boxes_fusion
from kit.inference.instance_fusion import fuse_instances
from kit.inference.instance_settings import InstanceFusion
from kit.inference.store import CodedDetections
from kit.masks import coco
from kit.predictions import Instances

HEAD = (
    "detections",
    "clusters",
    "ensemble-boxes, boxes ms",
    "ours, boxes ms",
    "ours, boxes + masks ms",
    "ours, soft masks ms",
    "masks one by one ms",
    "boxes + masks / ensemble-boxes",
)
"""Last column: median ratio of the rounds; at most 1 means that we fuse boxes and masks in the time that
ensemble-boxes takes for the boxes. `masks one by one`: boxes by ensemble-boxes, then pycocotools decodes each
mask, the votes are added and closed at the size of the image, and pycocotools encodes the result."""

_SIDE = 512
_CASES = ((5, 30), (5, 100), (5, 300), (10, 300))
_VOTES = InstanceFusion()
_SOFT = InstanceFusion(masks="soft")


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`: several detectors find the same objects in a tile of 512 x 512 pixels.

    Args:
        small: measure one small case only.
        rounds: number of rounds; each way runs once per round.

    Raises:
        KitError: two ways give different results, so their times would mean nothing.
    """
    for models, boxes in ((2, 10),) if small else _CASES:
        members = _scene(models, boxes)
        ways: dict[str, Callable[[], Any]] = {
            "theirs": partial(_theirs, members),
            "boxes": partial(_boxes, members),
            "votes": partial(_ours, members, _VOTES),
            "soft": partial(_ours, members, _SOFT),
            "plain": partial(_one_by_one, members),
        }
        # This first run also warms up: numba compiles its functions, and the process gets its memory.
        found = {name: way() for name, way in ways.items()}
        _require_equal(found)
        times = in_turns(ways, rounds, warm_up=False)
        ratio = median_ratio(times["votes"], times["theirs"])
        yield [
            f"{models} x {boxes}",
            str(len(found["boxes"])),
            *(f"{1e3 * statistics.median(times[name]):.1f}" for name in ways),
            f"{ratio:.2f}",
        ]


def _scene(models: int, boxes: int) -> list[CodedDetections]:
    """Return the detections of each detector: the same objects, a few pixels apart, with elliptic masks."""
    # All detectors share centres and sides, so that their boxes overlap and form clusters, about one per
    # object. Each one moves the centres by about 2 px and changes the sides by up to 10 %. Squared scores
    # make most of them low, as a detector's are before a threshold.
    rng = np.random.default_rng(0)
    centres, sides = rng.uniform(20, _SIDE - 20, (boxes, 2)), rng.uniform(16, 60, (boxes, 2))
    members = []
    for _ in range(models):
        middle = centres + rng.normal(0, 2, (boxes, 2))
        half = sides * rng.uniform(0.9, 1.1, (boxes, 2)) / 2
        corners = np.clip(np.concatenate([middle - half, middle + half], axis=1), 0, _SIDE)
        masks = [_ellipse(box) for box in corners]
        members.append(CodedDetections(_SIDE, _SIDE, corners, rng.random(boxes) ** 2, masks))
    return members


def _ellipse(box: NDArray[np.float64]) -> bytes:
    mask_HW = np.zeros((_SIDE, _SIDE), np.uint8)
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    cv2.ellipse(mask_HW, (tuple(middle.tolist()), tuple(size.tolist()), 0.0), 1, -1)
    return coco.encode(mask_HW)


def _boxes(members: list[CodedDetections]) -> Clusters:
    return weighted_boxes_fusion(
        [member.boxes for member in members],
        [member.scores for member in members],
        [1.0] * len(members),
        iou=_VOTES.iou,
        skip_score=_VOTES.skip_score,
    )


def _ours(members: list[CodedDetections], settings: InstanceFusion) -> Instances:
    return fuse_instances(members, [1.0] * len(members), settings, (_SIDE, _SIDE))


def _theirs(members: list[CodedDetections]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from ensemble_boxes import weighted_boxes_fusion as ensemble_boxes

    boxes, scores, _ = ensemble_boxes(
        [member.boxes / _SIDE for member in members],
        [member.scores for member in members],
        [np.zeros(len(member.scores)) for member in members],
        iou_thr=_VOTES.iou,
        skip_box_thr=_VOTES.skip_score,
    )
    return boxes * _SIDE, scores


def _one_by_one(members: list[CodedDetections]) -> list[bytes]:
    """Fuse masks the way that is usually written around ensemble-boxes."""
    # ensemble-boxes does not tell which boxes went into a cluster, so our clusters say it. `_require_equal`
    # has checked that both give the same boxes in the same order. Finding them again would only slow this way
    # down.
    from pycocotools import mask as pycocotools

    boxes, _ = _theirs(members)
    clusters, masks = _boxes(members), []
    for number, box in enumerate(boxes):
        own = np.flatnonzero(clusters.of == number)
        votes_HW = np.zeros((_SIDE, _SIDE), np.int32)
        for source, index in zip(clusters.sources[own], clusters.indices[own], strict=True):
            counts = members[source].masks[index]
            votes_HW += pycocotools.decode({"size": [_SIDE, _SIDE], "counts": counts})
        inside_HW = np.zeros((_SIDE, _SIDE), np.uint8)
        rows, columns = (slice(int(np.floor(box[axis])), int(np.ceil(box[axis + 2]))) for axis in (1, 0))
        inside_HW[rows, columns] = votes_HW[rows, columns] >= max(1, int(_VOTES.vote_fraction * len(own)))
        closed_HW = cv2.morphologyEx(inside_HW, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        masks.append(pycocotools.encode(np.asfortranarray(closed_HW))["counts"])
    return masks


def _require_equal(found: dict[str, Any]) -> None:
    boxes, scores = found["theirs"]
    ours: Clusters = found["boxes"]
    close = boxes.shape == ours.boxes.shape and np.allclose(boxes, ours.boxes, rtol=0, atol=1e-9 * _SIDE)
    if not close or not np.allclose(scores, ours.scores, rtol=0, atol=1e-9):
        raise KitError("our fused boxes differ from those of ensemble-boxes, so the times are not comparable")
    if found["votes"].masks != found["plain"]:
        raise KitError("our fused masks differ from those fused one by one, so the times are not comparable")
