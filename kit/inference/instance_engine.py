"""The engine of instance ensembles: detections per pass, instances per rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.fusion import Fused, KeepConfident, PassResult, require_size
from kit.inference.instance_doubt import doubt_of_scores
from kit.inference.instance_fusion import calibrated, fuse_instances, merge_views, require_detections
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.store import CodedDetections, load_detections, save_detections
from kit.typed_json import from_plain

if TYPE_CHECKING:
    from kit.inference.image_pass import ImagePass
    from kit.models import Network


def run_pass(module: Network, pass_: ImagePass) -> None:
    """Write the detections of one pass over one image.

    Errors are those of `kit.inference.runner.run_pass`.
    """
    from kit.inference.instance import predict_instances  # needs torch, which fusing does not need
    from kit.models import InstanceNetwork

    if not isinstance(module, InstanceNetwork):
        raise KitError(
            f"{module.spec.name} declares detections but cannot detect",
            where=pass_.where,
            fix="build it as an InstanceNetwork",
        )
    settings = from_plain(InstanceSettings, pass_.member.inference, where=pass_.member.name)
    save_detections(pass_.target, predict_instances(module, settings, pass_))


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
    del info, keep  # no setting depends on organ or source, and no window is skipped
    fusion = from_plain(InstanceFusion, settings, where="settings of the rung", fix="run `ensemble` again")
    by_member: dict[str, list[PassResult]] = {}
    for result in results:
        by_member.setdefault(result.member.name, []).append(result)
    merged, weights = [], []
    for name, passes in by_member.items():
        views = [_detections(result, size, image_id) for result in passes]
        detections = merge_views(views, from_plain(InstanceSettings, passes[0].member.inference, where=name))
        merged.append(calibrated(detections, fusion.calibration.get(name)))
        weights.append(float(np.mean([result.weight for result in passes])))
    instances = fuse_instances(merged, weights, fusion, size, where=image_id)
    return Fused(instances, doubt_of_scores(instances.scores))


def _detections(result: PassResult, size: tuple[int, int], image_id: str) -> CodedDetections:
    detections = load_detections(result.file)
    require_size((detections.height, detections.width), size, result, image_id)
    require_detections(detections, result.file)
    return detections
