"""One training step and one detection of a tiny DetectoRS-HTC on a random image.

Prints one JSON line: versions, losses, how many parameters got a gradient, how many detections there are.
"""

import json
import platform
import sys

import cv2
import mmcv.ops
import mmdet
import mmseg
import numpy as np
import torch
from mmcv import Config
from mmdet.core import BitmapMasks
from mmdet.models import build_detector

WIDTH = 8
STAGES = [WIDTH * 4 * 2**i for i in range(4)]
NECK = 16


def backbone(**more):
    return {
        "type": "DetectoRS_ResNet",
        "depth": 50,
        "base_channels": WIDTH,
        "stem_channels": WIDTH,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "frozen_stages": -1,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "norm_eval": False,
        "zero_init_residual": False,  # else the first step reaches no convolution inside a block
        "style": "pytorch",
        "conv_cfg": {"type": "ConvAWS"},
        "sac": {"type": "SAC", "use_deform": True},
        "stage_with_sac": (False, True, True, True),
        **more,
    }


def box_head(stds):
    return {
        "type": "Shared2FCBBoxHead",
        "in_channels": NECK,
        "fc_out_channels": 32,
        "roi_feat_size": 7,
        "num_classes": 1,
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": stds},
        "reg_class_agnostic": True,
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
        "loss_bbox": {"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0},
    }


def mask_head(**more):
    return {
        "type": "HTCMaskHead",
        "num_convs": 1,
        "in_channels": NECK,
        "conv_out_channels": NECK,
        "num_classes": 1,
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        **more,
    }


def roi_extractor(size):
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0},
        "out_channels": NECK,
        "featmap_strides": [4, 8, 16, 32],
    }


def rcnn_stage(iou):
    return {
        "assigner": {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": iou,
            "neg_iou_thr": iou,
            "min_pos_iou": iou,
            "ignore_iof_thr": -1,
        },
        "sampler": {
            "type": "RandomSampler",
            "num": 32,
            "pos_fraction": 0.25,
            "neg_pos_ub": -1,
            "add_gt_as_proposals": True,
        },
        "mask_size": 28,
        "pos_weight": -1,
        "debug": False,
    }


def model():
    nms = {"type": "nms", "iou_threshold": 0.7}
    proposals = {"nms_pre": 100, "max_per_img": 50, "nms": nms, "min_bbox_size": 0}
    return {
        "type": "HybridTaskCascade",
        "backbone": backbone(output_img=True),
        "neck": {
            "type": "RFP",
            "rfp_steps": 2,
            "aspp_out_channels": NECK // 4,
            "aspp_dilations": (1, 3, 6, 1),
            "rfp_backbone": backbone(rfp_inplanes=NECK),
            "in_channels": STAGES,
            "out_channels": NECK,
            "num_outs": 5,
        },
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": NECK,
            "feat_channels": NECK,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [4],
                "ratios": [0.5, 1.0, 2.0],
                "strides": [4, 8, 16, 32, 64],
            },
            "bbox_coder": {
                "type": "DeltaXYWHBBoxCoder",
                "target_means": [0.0] * 4,
                "target_stds": [1.0] * 4,
            },
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
            "loss_bbox": {"type": "SmoothL1Loss", "beta": 1 / 9, "loss_weight": 1.0},
        },
        "roi_head": {
            "type": "HybridTaskCascadeRoIHead",
            "interleaved": True,
            "mask_info_flow": True,
            "num_stages": 3,
            "stage_loss_weights": [1, 0.5, 0.25],
            "bbox_roi_extractor": roi_extractor(7),
            "bbox_head": [box_head([0.1 / k, 0.1 / k, 0.2 / k, 0.2 / k]) for k in (1, 2, 3)],
            "mask_roi_extractor": roi_extractor(14),
            "mask_head": [mask_head(with_conv_res=False), mask_head(), mask_head()],
        },
        "train_cfg": {
            "rpn": {
                "assigner": {
                    "type": "MaxIoUAssigner",
                    "pos_iou_thr": 0.7,
                    "neg_iou_thr": 0.3,
                    "min_pos_iou": 0.3,
                    "ignore_iof_thr": -1,
                },
                "sampler": {
                    "type": "RandomSampler",
                    "num": 32,
                    "pos_fraction": 0.5,
                    "neg_pos_ub": -1,
                    "add_gt_as_proposals": False,
                },
                "allowed_border": 0,
                "pos_weight": -1,
                "debug": False,
            },
            "rpn_proposal": proposals,
            "rcnn": [rcnn_stage(iou) for iou in (0.5, 0.6, 0.7)],
        },
        "test_cfg": {
            "rpn": proposals,
            "rcnn": {
                "score_thr": 0.001,
                "nms": {"type": "soft_nms", "iou_threshold": 0.5},
                "max_per_img": 10,
                "mask_thr_binary": 0.5,
            },
        },
    }


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = build_detector(Config({"model": model()}).model)
    net.init_weights()
    image_HWC = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    x_NCHW = torch.from_numpy(cv2.GaussianBlur(image_HWC, (5, 5), 0)).permute(2, 0, 1)[None].float() / 255
    meta = {
        "img_shape": (96, 128, 3),
        "ori_shape": (96, 128, 3),
        "pad_shape": (96, 128, 3),
        "scale_factor": np.ones(4, np.float32),
        "flip": False,
        "batch_input_shape": (96, 128),
    }
    boxes = torch.tensor([[10.0, 12.0, 60.0, 70.0], [70.0, 20.0, 120.0, 80.0]])
    masks_NHW = np.zeros((2, 96, 128), np.uint8)
    masks_NHW[0, 12:70, 10:60] = 1
    masks_NHW[1, 20:80, 70:120] = 1
    net.train()
    losses = net.forward_train(
        x_NCHW,
        [meta],
        gt_bboxes=[boxes],
        gt_labels=[torch.zeros(2, dtype=torch.int64)],
        gt_masks=[BitmapMasks(masks_NHW, 96, 128)],
    )
    total, values = net._parse_losses(losses)
    total.backward()
    gradients = {name: p.grad for name, p in net.named_parameters() if p.requires_grad}
    still = [name for name, grad in gradients.items() if grad is None or not grad.any()]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    torch.optim.SGD(net.parameters(), lr=1e-3).step()
    net.eval()
    with torch.no_grad():
        ((boxes_by_class, masks_by_class),) = net.simple_test(x_NCHW, [meta], rescale=True)
    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
                "cv2": cv2.__version__,
                "mmcv": mmcv.__version__,
                "mmdet": mmdet.__version__,
                "mmseg": mmseg.__version__,
                "ops": mmcv.ops.get_compiler_version(),
                "losses": dict(values),
                "finite": all(grad is None or bool(grad.isfinite().all()) for grad in gradients.values()),
                "trained": len(gradients) - len(still),
                "still": still,
                "detections": len(boxes_by_class[0]),
                "masks": len(masks_by_class[0]),
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
