"""Networks small enough for a test, with weights far from their initial ones."""

import numpy as np
import torch
from cbnetv2 import zoo, zoo_heads
from mmcv import ConfigDict
from mmdet.core import BitmapMasks
from mmdet.models import build_detector

SWIN = {"embed_dim": 8, "depths": (2, 2, 1), "num_heads": (1, 2, 4), "window_size": 3}
RESNET_WIDTHS = [8, 32, 64, 128, 256]
RESNET = {"depth": 50, "base_channels": 8, "stem_channels": 8, "cb_inplanes": RESNET_WIDTHS}


def randomised(module, seed=0):
    """The module with every parameter and running statistic drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            drawn = torch.rand(value.shape, generator=generator, dtype=torch.float64).to(value.dtype)
            if name.endswith("running_var"):
                value.copy_(0.5 + drawn)
            elif value.ndim > 1:
                value.copy_((drawn - 0.5) * 2 / value[0].numel() ** 0.5)
            else:
                value.copy_(drawn + 0.2)
    return module


def small_detector(settings, channels=16):
    """A published detector with narrow parts; its structure and its losses stay as they are."""
    narrow = _narrowed(settings, channels)
    kind = narrow["backbone"]["type"]
    if kind == "CBSwinTransformer":
        narrow["backbone"].update(
            embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8], drop_path_rate=0.0
        )
        narrow["neck"]["in_channels"] = [8, 16, 32, 64]
    else:
        narrow["backbone"].update(RESNET)
        narrow["neck"]["in_channels"] = RESNET_WIDTHS[1:]
    detector = build_detector(ConfigDict(narrow))
    detector.init_weights()
    return detector


def batch(semantic=False):
    """Two images with one and two instances, as mmdet's `forward_train` takes them."""
    height, width = 65, 90
    meta = {
        "img_shape": (height, width, 3),
        "ori_shape": (height, width, 3),
        "pad_shape": (height, width, 3),
        "scale_factor": np.ones(4, np.float32),
        "flip": False,
    }
    boxes = [torch.tensor([[10.0, 10, 50, 60]]), torch.tensor([[20.0, 30, 80, 60], [5, 5, 40, 30]])]
    data = {
        "img": torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(3)),
        "img_metas": [dict(meta), dict(meta)],
        "gt_bboxes": boxes,
        "gt_labels": [torch.zeros(len(one), dtype=torch.long) for one in boxes],
        "gt_masks": [
            BitmapMasks(np.ones((len(one), height, width), np.uint8), height, width) for one in boxes
        ],
    }
    if semantic:
        data["gt_semantic_seg"] = torch.zeros(2, 1, 9, 12, dtype=torch.long)
    return data


DETECTORS = {
    "faster": lambda: zoo.faster_rcnn_r50(2),
    "cascade": lambda: zoo.cascade_rcnn_res2net101("2fc", 2),
    "mask": lambda: zoo.mask_rcnn_swin_t(2),
    "cascade_mask": lambda: zoo.cascade_mask_rcnn_swin_s(2, sync_bn=False),
    "htc": lambda: zoo.htc_swin_b("2fc", 2, semantic=False),
    "htc_semantic": lambda: zoo.htc_swin_b("4conv1fc", 2, sync_bn=False),
}


def _narrowed(value, channels):
    if isinstance(value, list):
        return [_narrowed(one, channels) for one in value]
    if not isinstance(value, dict):
        return value
    narrow = {key: _narrowed(one, channels) for key, one in value.items()}
    for key in ("in_channels", "out_channels", "feat_channels", "conv_out_channels"):
        if narrow.get(key) == zoo_heads.CHANNELS:
            narrow[key] = channels
    if "fc_out_channels" in narrow:
        narrow["fc_out_channels"] = 4 * channels
    return narrow
