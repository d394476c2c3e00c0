"""The engine of semantic ensembles: one probability map per pass, one mask per rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.fusion import Fused, KeepConfident, PassResult, require_size
from kit.inference.semantic_blocks import BlockDoubt, load_confident, shares_left
from kit.inference.semantic_doubt import MaskDoubt
from kit.inference.semantic_fusion import fuse_semantic
from kit.inference.semantic_settings import SemanticFusion, SemanticSettings
from kit.inference.store import open_map
from kit.predictions import SemanticMask
from kit.typed_json import from_plain

if TYPE_CHECKING:
    from kit.inference.image_pass import ImagePass
    from kit.models import Network


def run_pass(module: Network, pass_: ImagePass) -> None:
    """Write the probability map of one pass over one image.

    Errors are those of `kit.inference.runner.run_pass`.
    """
    from kit.inference.semantic import predict_map  # needs torch, which fusing does not need

    output = module.spec.output
    if output not in ("logit", "sigmoid", "softmax"):
        raise KitError(
            f"{module.spec.name} declares {output}, not maps",
            where=pass_.where,
            fix="build it as an InstanceNetwork",
        )
    size = (pass_.source.height, pass_.source.width)
    blocks = load_confident(pass_.confident, size)
    if blocks is not None and pass_.on_left is not None:
        pass_.on_left(blocks.left(pass_.member, size, pass_.info))
    settings = from_plain(SemanticSettings, pass_.member.inference, where=pass_.member.name)
    predict_map(module, output, settings, pass_, blocks)


def fuse(
    results: Sequence[PassResult],
    settings: Mapping[str, Any],
    size: tuple[int, int],
    *,
    image_id: str,
    info: ImageInfo | None,
    keep: KeepConfident | None,
) -> Fused:
    """Return the mask of one rung for one image; arguments as `kit.inference.fusion.fuse`."""
    fusion = from_plain(SemanticFusion, settings, where="settings of the rung", fix="run `ensemble` again")
    maps = [open_map(result.file) for result in results]
    for prob_HW, result in zip(maps, results, strict=True):
        require_size(prob_HW.shape, size, result, image_id)
    weights = [result.weight for result in results]
    doubt = MaskDoubt() if keep is None else BlockDoubt(*size)
    mask = SemanticMask(*size, fuse_semantic(maps, weights, fusion.threshold_of(info), doubt))
    left: tuple[float, ...] = ()
    if keep is not None and isinstance(doubt, BlockDoubt):
        blocks = doubt.confident(keep.below)
        with suppress(KitError):  # a full disk costs time, not the row
            blocks.save(keep.file)
            left = shares_left(blocks, keep.members, size, info)
    return Fused(mask, doubt.value, left)
