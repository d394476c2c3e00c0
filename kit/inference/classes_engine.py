"""The engine of semantic ensembles with several classes: the maps of all classes per pass, masks per rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.class_fusion import ClassFusion, fuse_classes
from kit.inference.fusion import Fused, KeepConfident, PassResult, require_size
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import open_map
from kit.predictions import ClassMasks
from kit.typed_json import from_plain

if TYPE_CHECKING:
    from kit.inference.image_pass import ImagePass
    from kit.models import Network


def run_pass(module: Network, pass_: ImagePass) -> None:
    """Write the probability maps of one pass over one image.

    Errors are those of `kit.inference.runner.run_pass`.
    No window is skipped: a block would have to be confident in every class.
    """
    from kit.inference.class_maps import predict_class_maps  # needs torch, which fusing does not need

    output = module.spec.output
    if output not in ("logit", "sigmoid", "softmax"):
        raise KitError(
            f"{module.spec.name} declares {output}, not maps",
            where=pass_.where,
            fix="correct its declaration",
        )
    settings = from_plain(SemanticSettings, pass_.member.inference, where=pass_.member.name)
    predict_class_maps(module, output, module.spec.classes, settings, pass_)


def fuse(
    results: Sequence[PassResult],
    settings: Mapping[str, Any],
    size: tuple[int, int],
    *,
    image_id: str,
    info: ImageInfo | None,
    keep: KeepConfident | None,
) -> Fused:
    """Return the masks of one rung for one image; arguments as `kit.inference.fusion.fuse`."""
    del info, keep
    fusion = from_plain(ClassFusion, settings, where="settings of the rung", fix="run `ensemble` again")
    classes = list(results[0].member.network["classes"])
    maps = [open_map(result.file) for result in results]
    for stored, result in zip(maps, results, strict=True):
        require_size(stored.shape, (len(classes) * size[0], size[1]), result, image_id)
    runs, doubt = fuse_classes(maps, [result.weight for result in results], classes, fusion)
    return Fused(ClassMasks(*size, runs), doubt)
