"""mmdet's two-stage detectors, trained on the assistant's pyramid as well as on the lead's."""

from __future__ import annotations

from typing import Any

from mmdet.models.builder import DETECTORS
from mmdet.models.detectors import CascadeRCNN, FasterRCNN, HybridTaskCascade, MaskRCNN
from torch import Tensor

Losses = dict[str, Any]
"""Name -> scalar, or list of scalars by pyramid level."""


class AssistedTraining:
    """Mixin before a two-stage detector of mmdet: assistant supervision (CBNetV2, section 3.4).

    Heads run on every pyramid of the neck with the same targets; the assistant's losses count
    `assistant_weight`. All RoI heads see the lead's proposals. Detection is the detector's own: in
    evaluation the neck hands over the lead's pyramid alone.

    Args:
        assistant_weight: of the assistant's losses beside the lead's 1; 0.5 as published.
        detector: the words of the mmdet detector.

    Raises:
        ValueError: a negative weight.
    """

    def __init__(self, *, assistant_weight: float = 0.5, **detector: Any) -> None:
        if assistant_weight < 0:
            raise ValueError(f"assistant_weight is {assistant_weight}; a loss cannot count less than nothing")
        super().__init__(**detector)
        self.assistant_weight = assistant_weight

    def forward_train(
        self: Any,
        img: Tensor,
        img_metas: list[dict[str, Any]],
        gt_bboxes: list[Tensor],
        gt_labels: list[Tensor],
        *,
        gt_bboxes_ignore: list[Tensor] | None = None,
        gt_masks: list[Any] | None = None,
        proposals: list[Tensor] | None = None,
        **kwargs: Any,
    ) -> Losses:
        """Losses of every pyramid.

        Args:
            img: (N, C, H, W), normalised.
            img_metas: mmdet's facts about each image.
            gt_bboxes: (boxes, 4) an image: left, top, right, bottom in pixels.
            gt_labels: (boxes,) an image.
            gt_bboxes_ignore: boxes that are neither right nor wrong.
            gt_masks: mmdet's masks of each image's boxes.
            proposals: (proposals, 4 or 5) an image, for a detector without RPN.
            kwargs: for the heads, such as `gt_semantic_seg`.

        Returns:
            mmdet's names with the set's index behind, 0 for the assistant; a weighted set's losses end in
            its weight: "loss_rpn_cls0_w0.5", "s0.loss_bbox1". Accuracies are reported as they are (the
            published code scales the assistant's, so that it logs half the truth). Plain maps keep the
            plain names.
        """
        found = self.extract_feat(img)
        nested = not isinstance(found[0], Tensor)
        pyramids = found if nested else [found]
        weights = [self.assistant_weight] * (len(pyramids) - 1) + [1.0]
        truth = (gt_bboxes, gt_labels, gt_bboxes_ignore, gt_masks)
        losses: Losses = {}

        def note(index: int, found_losses: Losses) -> None:
            losses.update(named(found_losses, index, weights[index]) if nested else found_losses)

        if self.with_rpn:
            settings = self.train_cfg.get("rpn_proposal", self.test_cfg.rpn)
            for index, pyramid in enumerate(pyramids):
                # Without settings the head makes no proposals, which the assistant's would be for nothing.
                lead = index == len(pyramids) - 1
                result = self.rpn_head.forward_train(
                    pyramid,
                    img_metas,
                    gt_bboxes,
                    gt_labels=None,
                    gt_bboxes_ignore=gt_bboxes_ignore,
                    proposal_cfg=settings if lead else None,
                    **kwargs,
                )
                if lead:
                    result, proposals = result
                note(index, result)
        for index, pyramid in enumerate(pyramids):
            note(index, self.roi_head.forward_train(pyramid, img_metas, proposals, *truth, **kwargs))
        return losses


def named(losses: Losses, index: int, weight: float) -> Losses:
    """One set's losses, weighted and renamed so that they can stand beside the other set's.

    Args:
        losses: as a head returns them.
        index: of the set.
        weight: of its losses.

    Returns:
        Every name with the index; those of losses with "_w" and the weight too, unless that is 1.
    """
    renamed: Losses = {}
    for name, value in losses.items():
        if "loss" not in name or weight == 1:
            renamed[f"{name}{index}"] = value
        else:
            weighted = [one * weight for one in value] if isinstance(value, list) else value * weight
            renamed[f"{name}{index}_w{weight}"] = weighted
    return renamed


@DETECTORS.register_module()
class CBFasterRCNN(AssistedTraining, FasterRCNN):  # type: ignore[misc]  # mmdet has no types
    """Faster R-CNN with assistant supervision."""


@DETECTORS.register_module()
class CBMaskRCNN(AssistedTraining, MaskRCNN):  # type: ignore[misc]  # mmdet has no types
    """Mask R-CNN with assistant supervision."""


@DETECTORS.register_module()
class CBCascadeRCNN(AssistedTraining, CascadeRCNN):  # type: ignore[misc]  # mmdet has no types
    """Cascade R-CNN, with or without masks, with assistant supervision."""


@DETECTORS.register_module()
class CBHybridTaskCascade(AssistedTraining, HybridTaskCascade):  # type: ignore[misc]  # mmdet has no types
    """Hybrid Task Cascade, with or without semantic branch, with assistant supervision."""
