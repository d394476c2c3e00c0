"""mmdet model settings of the published CBNetV2 configurations, as plain dicts for `build_detector`.

None names a checkpoint: add `pretrained` or `init_cfg` to the backbone, or load the trained detector.
"""

from __future__ import annotations

from typing import Any, Literal

from cbnetv2 import zoo_heads as heads

Head = Literal["2fc", "4conv1fc"]
Settings = dict[str, Any]

_RESNET_WIDTHS = [64, 256, 512, 1024, 2048]
_SWINS: dict[str, Settings] = {
    "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "drop_path_rate": 0.2},
    "small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "drop_path_rate": 0.2},
    "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "drop_path_rate": 0.3},
    "large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "drop_path_rate": 0.2},
}


def faster_rcnn_r50(num_classes: int = 80) -> Settings:
    """Faster R-CNN on CB-ResNet-50: 69.6 M parameters, 40.8 box AP on COCO as published.

    Args:
        num_classes: of the heads, without background.
    """
    return {
        "type": "CBFasterRCNN",
        "backbone": {"type": "CBResNet", "depth": 50, **_frozen_resnet()},
        "neck": heads.neck(_RESNET_WIDTHS[1:]),
        "rpn_head": heads.rpn(loss={"type": "L1Loss", "loss_weight": 1.0}),
        "roi_head": heads.standard_roi(num_classes, masks=False),
        "train_cfg": heads.standard_training(masks=False),
        "test_cfg": heads.detection(masks=False, soft=False),
    }


def cascade_rcnn_res2net101(head: Head = "2fc", num_classes: int = 80, *, sync_bn: bool = True) -> Settings:
    """Cascade R-CNN on CB-Res2Net-101-DCN: 141 M ("2fc") or 146.2 M parameters, 53.7 or 54.1 box AP.

    Args:
        head: layers of the box heads.
        num_classes: of the heads, without background.
        sync_bn: whether normalisation of "4conv1fc" gathers statistics over all processes; same keys.
    """
    return {
        "type": "CBCascadeRCNN",
        "backbone": {
            "type": "CBRes2Net",
            "depth": 101,
            "scales": 4,
            "base_width": 26,
            "dcn": {"type": "DCNv2", "deform_groups": 1, "fallback_on_stride": False},
            "stage_with_dcn": (False, True, True, True),
            **_frozen_resnet(),
        },
        "neck": heads.neck(_RESNET_WIDTHS[1:]),
        "rpn_head": heads.rpn(),
        "roi_head": heads.cascade_roi(
            heads.box_heads(head, num_classes, agnostic=head == "2fc", sync_bn=sync_bn)
        ),
        "train_cfg": heads.cascade_training(masks=False),
        "test_cfg": heads.detection(masks=False, soft=True),
    }


def mask_rcnn_swin_t(num_classes: int = 80) -> Settings:
    """Mask R-CNN on CB-Swin-T: 76 M parameters, 50.2 box and 44.5 mask AP.

    Args:
        num_classes: of the heads, without background.
    """
    return {
        "type": "CBMaskRCNN",
        **_on_swin("tiny"),
        "rpn_head": heads.rpn(loss={"type": "L1Loss", "loss_weight": 1.0}),
        "roi_head": heads.standard_roi(num_classes, masks=True),
        "train_cfg": heads.standard_training(masks=True),
        "test_cfg": heads.detection(masks=True, soft=False),
    }


def cascade_mask_rcnn_swin_t(num_classes: int = 80, *, sync_bn: bool = True) -> Settings:
    """Cascade Mask R-CNN on CB-Swin-T: 114 M parameters, 53.6 box and 46.2 mask AP.

    Args:
        num_classes: of the heads, without background.
        sync_bn: whether the box heads' normalisation gathers statistics over all processes; same keys.
    """
    return _cascade_mask("tiny", num_classes, sync_bn=sync_bn, soft=False)


def cascade_mask_rcnn_swin_s(num_classes: int = 80, *, sync_bn: bool = True) -> Settings:
    """Cascade Mask R-CNN on CB-Swin-S: 156.4 M parameters, 56.3 box and 48.6 mask AP.

    Args:
        num_classes: of the heads, without background.
        sync_bn: as in `cascade_mask_rcnn_swin_t`.
    """
    return _cascade_mask("small", num_classes, sync_bn=sync_bn, soft=True)


def cascade_mask_rcnn_swin_b(num_classes: int = 80, *, sync_bn: bool = True) -> Settings:
    """Cascade Mask R-CNN on CB-Swin-B; the authors give a configuration but no checkpoint.

    Args:
        num_classes: of the heads, without background.
        sync_bn: as in `cascade_mask_rcnn_swin_t`.
    """
    return _cascade_mask("base", num_classes, sync_bn=sync_bn, soft=True)


def htc_swin_b(
    head: Head = "4conv1fc", num_classes: int = 80, *, semantic: bool = True, sync_bn: bool = True
) -> Settings:
    """Hybrid Task Cascade on CB-Swin-B: 231 M ("2fc") or 234.8 M parameters; 57.9/50.2 or 58.4/50.7 AP.

    Args:
        head: layers of the box heads.
        num_classes: of the heads, without background.
        semantic: whether there is a semantic branch (183 classes of COCO stuff); training it needs
            `gt_semantic_seg`.
        sync_bn: as in `cascade_rcnn_res2net101`.
    """
    return _htc("base", head, num_classes, semantic=semantic, sync_bn=sync_bn)


def htc_swin_l(num_classes: int = 80, *, semantic: bool = True, sync_bn: bool = True) -> Settings:
    """Hybrid Task Cascade on CB-Swin-L: 453.0 M parameters, 59.1 box and 51.0 mask AP.

    Args:
        num_classes: of the heads, without background.
        semantic: as in `htc_swin_b`.
        sync_bn: as in `cascade_rcnn_res2net101`.
    """
    return _htc("large", "4conv1fc", num_classes, semantic=semantic, sync_bn=sync_bn)


def _frozen_resnet() -> Settings:
    return {
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "frozen_stages": 1,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "norm_eval": True,
        "style": "pytorch",
        "cb_inplanes": list(_RESNET_WIDTHS),
        "cb_del_stages": 1,
    }


def _on_swin(size: str) -> Settings:
    swin = _SWINS[size]
    return {
        "backbone": {"type": "CBSwinTransformer", "window_size": 7, "cb_del_stages": 1, **swin},
        "neck": heads.neck([swin["embed_dim"] * 2**stage for stage in range(4)]),
    }


def _cascade_mask(size: str, num_classes: int, *, sync_bn: bool, soft: bool) -> Settings:
    boxes = heads.box_heads("4conv1fc", num_classes, agnostic=False, sync_bn=sync_bn)
    return {
        "type": "CBCascadeRCNN",
        **_on_swin(size),
        "rpn_head": heads.rpn(),
        "roi_head": heads.cascade_roi(boxes, mask_head=heads.mask_head(num_classes)),
        "train_cfg": heads.cascade_training(masks=True),
        "test_cfg": heads.detection(masks=True, soft=soft),
    }


def _htc(size: str, head: Head, num_classes: int, *, semantic: bool, sync_bn: bool) -> Settings:
    boxes = heads.box_heads(head, num_classes, agnostic=True, sync_bn=sync_bn)
    return {
        "type": "CBHybridTaskCascade",
        **_on_swin(size),
        "rpn_head": heads.rpn(),
        "roi_head": heads.htc_roi(boxes, num_classes, semantic=semantic),
        "train_cfg": heads.cascade_training(masks=True, low_quality=True),
        "test_cfg": heads.detection(masks=True, soft=True),
    }
