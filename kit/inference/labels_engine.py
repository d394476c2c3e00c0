"""The engine of instances of several classes: detections with labels per pass, instances per rung.

Each class is a competition of its own for all that compares detections: overlaps, windows, views and members.
So the steps of one class are done for each of them, and the network runs once for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kit.images.info import ImageInfo
from kit.inference.fusion import Fused, KeepConfident, PassResult, require_size
from kit.inference.instance_doubt import doubt_of_scores
from kit.inference.instance_fusion import calibrated, fuse_instances, merge_views, require_detections
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.labelled_store import load_labelled, save_labelled
from kit.inference.store import CodedDetections
from kit.predictions import Instances
from kit.typed_json import Fraction, from_plain

if TYPE_CHECKING:
    from kit.inference.image_pass import ImagePass
    from kit.models import Network


@dataclass(frozen=True, kw_only=True)
class LabelsFusion(InstanceFusion):
    """How the members' detections of several classes become instances.

    Attributes:
        min_scores: name of a class -> a `min_score` of its own.
    """

    min_scores: Mapping[str, Fraction] = field(default_factory=dict)


def run_pass(module: Network, pass_: ImagePass) -> None:
    """Write the detections of one pass over one image.

    Errors are those of `kit.inference.runner.run_pass`. The settings' `max_per_image` holds for each class.
    """
    from kit.inference.by_class import ByClass  # needs torch, which fusing does not need
    from kit.inference.instance import predict_instances

    settings = from_plain(InstanceSettings, pass_.member.inference, where=pass_.member.name)
    one, found = ByClass(module, where=pass_.where), []
    for number in range(module.spec.classes):
        one.choose(number)
        # Only the first class takes time: the others read what the network said.
        found.append(predict_instances(one, settings, replace(pass_, on_batch=None) if number else pass_))
    save_labelled(pass_.target, found)


def fuse(
    results: Sequence[PassResult],
    settings: Mapping[str, Any],
    size: tuple[int, int],
    *,
    image_id: str,
    info: ImageInfo | None,
    keep: KeepConfident | None,
) -> Fused:
    """Return the instances of one rung for one image; arguments as `kit.inference.fusion.fuse`."""
    del info, keep
    fusion = from_plain(LabelsFusion, settings, where="settings of the rung", fix="run `ensemble` again")
    by_member: dict[str, list[tuple[PassResult, list[CodedDetections]]]] = {}
    for result in results:
        by_member.setdefault(result.member.name, []).append((result, _of_classes(result, size, image_id)))
    weights = [float(np.mean([result.weight for result, _ in passes])) for passes in by_member.values()]
    found: list[Instances] = []
    for number, label in enumerate(results[0].member.network["classes"]):
        own_fusion = replace(fusion, min_score=fusion.min_scores.get(label, fusion.min_score))
        merged = []
        for name, passes in by_member.items():
            own = from_plain(InstanceSettings, passes[0][0].member.inference, where=name)
            views = merge_views([of_class[number] for _, of_class in passes], own)
            merged.append(calibrated(views, fusion.calibration.get(name)))
        found.append(fuse_instances(merged, weights, own_fusion, size, where=image_id))
    instances = together(found, size)
    return Fused(instances, doubt_of_scores(instances.scores))


def together(found: Sequence[Instances], size: tuple[int, int]) -> Instances:
    """Return the instances of all classes in one list, best score first; of equal scores the first class."""
    scores = np.concatenate([one.scores for one in found])
    labels: NDArray[np.int64] = np.repeat(np.arange(len(found)), [len(one.masks) for one in found])
    masks = [mask for one in found for mask in one.masks]
    order = np.argsort(-scores, kind="stable")
    return Instances(*size, scores[order], [masks[place] for place in order.tolist()], labels=labels[order])


def _of_classes(result: PassResult, size: tuple[int, int], image_id: str) -> list[CodedDetections]:
    found = load_labelled(result.file, len(result.member.network["classes"]))
    for of_class in found:
        require_size((of_class.height, of_class.width), size, result, image_id)
        require_detections(of_class, result.file)
    return found
