"""The published detectors as plain mmdet model dictionaries: `build_detector(ConfigDict(htcpp_beitv2_l()))`.

Weights of the published checkpoints fit key by key. Batch norms are BN here, SyncBN with `sync_bn`: the
weights are the same, SyncBN is slow or missing where there is one process or no GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .zoo_heads import cascade_roi_head, detection_cfg, htc_roi_head, mask_roi_head, rpn_head, train_cfg

Config = dict[str, Any]

_LARGE: Config = {
    "patch_size": 16,
    "embed_dim": 1024,
    "depth": 24,
    "num_heads": 16,
    "mlp_ratio": 4,
    "conv_inplane": 64,
    "n_points": 4,
    "deform_num_heads": 16,
    "cffn_ratio": 0.25,
    "deform_ratio": 0.5,
    "interaction_indexes": [[0, 5], [6, 11], [12, 17], [18, 23]],
}
_TWELVE_BLOCKS: Config = {
    "patch_size": 16,
    "depth": 12,
    "mlp_ratio": 4,
    "conv_inplane": 64,
    "n_points": 4,
    "cffn_ratio": 0.25,
    "interaction_indexes": [[0, 2], [3, 5], [6, 8], [9, 11]],
}
_DEIT: dict[str, Config] = {
    "tiny": {
        "embed_dim": 192,
        "num_heads": 3,
        "deform_num_heads": 6,
        "deform_ratio": 1.0,
        "drop_path_rate": 0.1,
    },
    "small": {
        "embed_dim": 384,
        "num_heads": 6,
        "deform_num_heads": 6,
        "deform_ratio": 1.0,
        "drop_path_rate": 0.2,
    },
    "base": {
        "embed_dim": 768,
        "num_heads": 12,
        "deform_num_heads": 12,
        "deform_ratio": 0.5,
        "drop_path_rate": 0.3,
    },
}


def htcpp_beitv2_l(
    layout: Literal["3x", "o365"] = "3x",
    *,
    num_classes: int = 80,
    semantic: bool = True,
    sync_bn: bool = False,
    drop_path: float | None = None,
    checkpointing: bool = False,
) -> Config:
    """HTC++ on BEiT or BEiT v2, large: 400.73 M parameters in both layouts.

    Args:
        layout: of the published checkpoints: "3x" (COCO only; plain neck, plain box heads with a smooth L1
            loss) or "o365" (Objects365, then COCO; group norm in the neck, batch norm in the box heads, GIoU
            loss on decoded boxes).
        num_classes: of the detector.
        semantic: with the semantic branch (183 classes of COCO stuff), which needs semantic maps to train.
        sync_bn: SyncBN instead of BN.
        drop_path: of the body; 0.4 ("3x") and 0.3 ("o365") are published, 0.3 in the neck.
        checkpointing: recompute activations in the backward pass.

    Raises:
        ValueError: an unknown layout.
    """
    if layout not in {"3x", "o365"}:
        raise ValueError(f"layout {layout!r}: there are '3x' and 'o365'")
    published = 0.4 if layout == "3x" else 0.3
    backbone = {
        "type": "BEiTAdapter",
        "img_size": 224,
        **_LARGE,
        "qkv_bias": True,
        "use_abs_pos_emb": False,
        "use_rel_pos_bias": True,
        "init_values": 1e-6,
        "drop_path_rate": published if drop_path is None else drop_path,
        "window_attn": [True] * 24,
        "window_size": [14, 14, 14, 14, 14, 56] * 4,
        "norm_cfg": _batch_norm(sync_bn),
        "with_cp": checkpointing,
    }
    return _htc(
        backbone,
        neck_drop_path=0.3 if drop_path is None else drop_path,
        neck_norm={"type": "GN", "num_groups": 32} if layout == "o365" else None,
        box_norm=_batch_norm(sync_bn) if layout == "o365" else None,
        giou=layout == "o365",
        num_classes=num_classes,
        semantic=semantic,
    )


def htcpp_augreg_l(
    *,
    num_classes: int = 80,
    semantic: bool = True,
    sync_bn: bool = False,
    drop_path: float = 0.4,
    checkpointing: bool = False,
) -> Config:
    """HTC++ on AugReg-L, the heads of the "3x" layout, 300 detections an image; words as `htcpp_beitv2_l`."""
    return _htc(
        _augreg_large(drop_path, sync_bn=sync_bn, checkpointing=checkpointing),
        neck_drop_path=drop_path,
        num_classes=num_classes,
        semantic=semantic,
        max_per_img=300,
    )


def mask_rcnn_deit(
    size: Literal["tiny", "small", "base"] = "small",
    *,
    fpn: bool = True,
    num_classes: int = 80,
    sync_bn: bool = False,
    drop_path: float | None = None,
    checkpointing: bool = False,
) -> Config:
    """Mask R-CNN on DeiT: 28, 47.8 and 120 M parameters.

    Args:
        size: of the body.
        fpn: with a feature pyramid; without one, a 1x1 convolution a map (published for "small").
        num_classes: of the detector.
        sync_bn: SyncBN instead of BN.
        drop_path: of the body; 0.1, 0.2 and 0.3 are published.
        checkpointing: recompute activations in the backward pass.

    Raises:
        ValueError: an unknown size.
    """
    backbone = _deit(size, drop_path, sync_bn=sync_bn, checkpointing=checkpointing)
    return _two_stage("MaskRCNN", backbone, _fpn(backbone) if fpn else _mapper(backbone), num_classes)


def mask_rcnn_augreg_l(
    *,
    num_classes: int = 80,
    sync_bn: bool = False,
    drop_path: float = 0.4,
    checkpointing: bool = False,
) -> Config:
    """Mask R-CNN on AugReg-L: 348 M parameters; words as `mask_rcnn_deit`."""
    backbone = _augreg_large(drop_path, sync_bn=sync_bn, checkpointing=checkpointing)
    return _two_stage("MaskRCNN", backbone, _fpn(backbone), num_classes)


def mask_rcnn_uniperceiver_b(
    *,
    num_classes: int = 80,
    sync_bn: bool = False,
    drop_path: float = 0.2,
    checkpointing: bool = False,
) -> Config:
    """Mask R-CNN on Uni-Perceiver-B; words as `mask_rcnn_deit`."""
    backbone = {
        "type": "UniPerceiverAdapter",
        **_TWELVE_BLOCKS,
        "embed_dim": 768,
        "num_heads": 12,
        "deform_num_heads": 12,
        "deform_ratio": 0.5,
        **_every_third_global(),
        "drop_path_rate": drop_path,
        "norm_cfg": _batch_norm(sync_bn),
        "with_cp": checkpointing,
    }
    return _two_stage("MaskRCNN", backbone, _fpn(backbone), num_classes)


def cascade_mask_rcnn_deit(
    size: Literal["tiny", "small", "base"] = "small",
    *,
    num_classes: int = 80,
    sync_bn: bool = False,
    drop_path: float | None = None,
    checkpointing: bool = False,
) -> Config:
    """Cascade Mask R-CNN on DeiT, box heads of four convolutions and a GIoU loss; words as `mask_rcnn_deit`.

    Published for "small" and "base".
    """
    backbone = _deit(size, drop_path, sync_bn=sync_bn, checkpointing=checkpointing)
    return {
        "type": "CascadeRCNN",
        "backbone": backbone,
        "neck": _fpn(backbone),
        "rpn_head": rpn_head({"type": "SmoothL1Loss", "beta": 1.0 / 9.0, "loss_weight": 1.0}),
        "roi_head": cascade_roi_head(num_classes, norm_cfg=_batch_norm(sync_bn)),
        "train_cfg": train_cfg(stages=3, proposals=2000, border=0, low_quality=False),
        "test_cfg": detection_cfg(score_thr=0.05),
    }


def _htc(
    backbone: Config,
    *,
    neck_drop_path: float,
    num_classes: int,
    semantic: bool,
    neck_norm: Config | None = None,
    box_norm: Config | None = None,
    giou: bool = False,
    max_per_img: int = 100,
) -> Config:
    attention = {
        "type": "ExtraAttention",
        "in_channels": [backbone["embed_dim"]] * 4,
        "num_head": 32,
        "with_ffn": True,
        "ffn_ratio": 4.0,
        "drop_path": neck_drop_path,
        "with_cp": backbone["with_cp"],
    }
    return {
        "type": "HybridTaskCascade",
        "backbone": backbone,
        "neck": [attention, _fpn(backbone) | ({} if neck_norm is None else {"norm_cfg": neck_norm})],
        "rpn_head": rpn_head({"type": "SmoothL1Loss", "beta": 1.0 / 9.0, "loss_weight": 1.0}),
        "roi_head": htc_roi_head(num_classes, semantic=semantic, norm_cfg=box_norm, giou=giou),
        "train_cfg": train_cfg(stages=3, proposals=2000, border=0),
        "test_cfg": detection_cfg(score_thr=0.001, nms="soft_nms", max_per_img=max_per_img),
    }


def _two_stage(kind: str, backbone: Config, neck: Config, num_classes: int) -> Config:
    return {
        "type": kind,
        "backbone": backbone,
        "neck": neck,
        "rpn_head": rpn_head({"type": "L1Loss", "loss_weight": 1.0}),
        "roi_head": mask_roi_head(num_classes),
        "train_cfg": train_cfg(stages=None, proposals=1000, border=-1),
        "test_cfg": detection_cfg(score_thr=0.05),
    }


def _deit(size: str, drop_path: float | None, *, sync_bn: bool, checkpointing: bool) -> Config:
    if size not in _DEIT:
        raise ValueError(f"size {size!r}: there are {', '.join(_DEIT)}")
    backbone = {
        "type": "ViTAdapter",
        **_TWELVE_BLOCKS,
        **_DEIT[size],
        **_every_third_global(),
        "norm_cfg": _batch_norm(sync_bn),
        "with_cp": checkpointing,
    }
    return backbone if drop_path is None else {**backbone, "drop_path_rate": drop_path}


def _augreg_large(drop_path: float, *, sync_bn: bool, checkpointing: bool) -> Config:
    return {
        "type": "ViTAdapter",
        "img_size": 384,
        "pretrain_size": 384,
        **_LARGE,
        "window_attn": [True, True, True, True, True, False] * 4,
        "window_size": [14, 14, 14, 14, 14, None] * 4,
        "drop_path_rate": drop_path,
        "norm_cfg": _batch_norm(sync_bn),
        "with_cp": checkpointing,
    }


def _every_third_global() -> dict[str, Sequence[Any]]:
    return {"window_attn": [True, True, False] * 4, "window_size": [14, 14, None] * 4}


def _batch_norm(sync_bn: bool) -> Config:
    return {"type": "SyncBN" if sync_bn else "BN", "requires_grad": True}


def _fpn(backbone: Config) -> Config:
    return {"type": "FPN", "in_channels": [backbone["embed_dim"]] * 4, "out_channels": 256, "num_outs": 5}


def _mapper(backbone: Config) -> Config:
    return {**_fpn(backbone), "type": "ChannelMapperWithPooling"}
