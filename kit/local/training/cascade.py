"""Training of a Hybrid Task Cascade: which proposals are right, which are looked at, and what errors cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kit.local.training.target_masks import TargetMasks
from kit.models.cascade import HybridTaskCascade
from kit.models.detections import InstanceTarget
from kit.models.htc import CascadeSize, proposals
from kit.models.openmmlab import quiet

# Each stage gets better boxes than the one before and is judged more strictly. A proposal that overlaps an
# instance by 0.55 is a positive example of stage 1 alone; stage 1 moves it to, say, 0.65, then it is one of
# stage 2.
_STAGE_IOUS = (0.5, 0.6, 0.7)


class TrainableCascade(HybridTaskCascade):
    """A Hybrid Task Cascade with losses."""

    def __init__(self, built: HybridTaskCascade, size: CascadeSize) -> None:
        """Take over a built network and give its detector what only training needs.

        Args:
            built: its detector is changed in place and shared.
            size: of its heads.
        """
        super().__init__(built.spec, built.network, least_side=built.least_side)
        self.train(built.training)
        _add_training(self.network, size)

    def losses(self, x_NCHW: Tensor, targets: Sequence[InstanceTarget]) -> dict[str, Tensor]:
        """Return the losses of the region proposals and of the three stages' boxes, classes and masks.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
            targets: one per image; an image may have no instances. The size of the masks is the image's: what
                the batch has beyond it at the right and bottom is padding.

        Returns:
            mmdet's loss name, e.g. "loss_rpn_cls" or "s0.loss_mask", -> scalar. A composite backbone has two
            of each: "s0.loss_mask0_w0.5" of the assistant (already weighted), "s0.loss_mask1" of the lead.

        Raises:
            KitError: the network's weights or activations are not finite.
        """
        # The only class has the label 0; mmdet numbers the background last, here 1.
        padded, metas = self._of_own_sizes(*self.prepared(x_NCHW), targets)
        height, width = padded.shape[-2:]
        boxes = [target["boxes"].to(padded.device, torch.float32) for target in targets]
        named = self.network.forward_train(
            padded,
            metas,
            gt_bboxes=boxes,
            gt_labels=[box.new_zeros(len(box), dtype=torch.long) for box in boxes],
            gt_masks=[TargetMasks(target["masks"].to(padded.device), height, width) for target in targets],
        )
        return {
            name: (torch.stack(value) if isinstance(value, list) else value).sum()
            for name, value in named.items()
            if "loss" in name  # the others are accuracies
        }

    def _of_own_sizes(
        self, padded: Tensor, metas: list[dict[str, Any]], targets: Sequence[InstanceTarget]
    ) -> tuple[Tensor, list[dict[str, Any]]]:
        """Zeros beyond each image, and its own size for mmdet: no anchor or proposal counts beyond it.

        A crop of 1000 x 900 in a batch of 2048 x 2048 gets zeros after normalisation, as in the published
        pipelines, where an image is normalised and padded to 1024 x 928 before it comes into a batch.
        """
        for image_CHW, meta, target in zip(padded, metas, targets, strict=True):
            rows, columns = target["masks"].shape[-2:]
            image_CHW[:, rows:] = 0
            image_CHW[:, :, columns:] = 0
            divided = [-(-side // self.size_divisor) * self.size_divisor for side in (rows, columns)]
            meta["img_shape"] = meta["ori_shape"] = (rows, columns, 3)
            meta["pad_shape"] = (*divided, 3)
        return padded, metas

    def forward(self, x_NCHW: Tensor, targets: Sequence[InstanceTarget] | None = None) -> Any:
        """Return `losses` with targets, `detect` without; wrappers like Lightning Fabric call this."""
        return self.detect(x_NCHW) if targets is None else self.losses(x_NCHW, targets)


def _add_training(network: Any, size: CascadeSize) -> None:
    """Give mmdet's detector its assigners, samplers and losses, as its own constructors do.

    mmdet's default losses are the published ones: cross entropy for classes and masks, SmoothL1 on encoded
    boxes. The normed box heads alone have ten times the GIoU loss on decoded boxes.
    """
    with quiet():
        from mmcv import ConfigDict
        from mmdet.core import build_assigner, build_sampler
        from mmdet.models import build_loss

    config = network.train_cfg = ConfigDict(train_config(size))
    rpn = network.rpn_head
    rpn.train_cfg, rpn.sampling = config.rpn, True
    rpn.assigner = build_assigner(config.rpn.assigner)
    rpn.sampler = build_sampler(config.rpn.sampler, context=rpn)
    network.roi_head.train_cfg = config.rcnn
    network.roi_head.init_assigner_sampler()
    if size.head == "4conv1fc":
        for head in network.roi_head.bbox_head:
            head.reg_decoded_bbox = True
            head.loss_bbox = build_loss(ConfigDict(type="GIoULoss", loss_weight=10.0))


def train_config(size: CascadeSize) -> dict[str, Any]:
    """Return mmdet's `train_cfg` of a Hybrid Task Cascade.

    Args:
        size: of its heads.
    """

    def assigner(positive: float, negative: float, least: float) -> dict[str, Any]:
        return {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": positive,
            "neg_iou_thr": negative,
            "min_pos_iou": least,
            "ignore_iof_thr": -1,
        }

    def sampler(number: int, positive: float, *, with_truth: bool) -> dict[str, Any]:
        return {
            "type": "RandomSampler",
            "num": number,
            "pos_fraction": positive,
            "neg_pos_ub": -1,
            "add_gt_as_proposals": with_truth,
        }

    return {
        "rpn": {
            "assigner": assigner(0.7, 0.3, 0.3),
            "sampler": sampler(size.rpn_samples, 0.5, with_truth=False),
            "allowed_border": 0,
            "pos_weight": -1,
            "debug": False,
        },
        "rpn_proposal": proposals(size.rpn_nms_pre[0], size.rpn_proposals[0]),
        "rcnn": [
            {
                "assigner": assigner(iou, iou, iou),
                "sampler": sampler(size.roi_samples, size.roi_positive, with_truth=True),
                "mask_size": 28,
                "pos_weight": -1,
                "debug": False,
            }
            for iou in _STAGE_IOUS
        ],
    }
