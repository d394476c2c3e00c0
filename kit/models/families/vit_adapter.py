"""ViT-Adapter on BEiT v2 with HTC++: 3rd place of Hacking the Human Vasculature.

HTC++ is a Hybrid Task Cascade with self-attention over the coarsest map before the feature pyramid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kit.errors import KitError
from kit.models.cascade import HybridTaskCascade, build_detector, declaration
from kit.models.entry import Entry
from kit.models.htc import TINY, CascadeSize, Head, config
from kit.models.network_spec import NetworkSpec
from kit.models.openmmlab import quiet

NeckNorm = Literal["group", "none"]


@dataclass(frozen=True, kw_only=True)
class ViTAdapterSize(CascadeSize):
    """The settings of the detector that its published and its tiny form may choose.

    Attributes:
        embed_dim: channels of the transformer, the adapter and all four maps.
        depth: number of blocks of the transformer.
        num_heads: heads of the transformer's attention.
        window_size: side of the attention windows, in tokens of 16 pixels.
        global_window_size: window size of the last block of each interaction.
        interactions: how often adapter and transformer exchange features; it divides `depth`.
        init_values: first layer scale of transformer and adapter.
        conv_inplane: channels of the adapter's convolutional stem.
        deform_num_heads: heads of the adapter's deformable attention.
        deform_ratio: channels of that attention's values, divided by `embed_dim`.
        drop_path: stochastic depth of the last block and of every step of the adapter.
        neck_heads: heads of the attention before the feature pyramid.
        neck_drop_path: stochastic depth of that attention.
        neck_norm: "group" norm after each convolution of the feature pyramid, or "none".
        norm_groups: number of groups of norm "group".
        checkpointing: compute the blocks again in the backward pass, to save memory.
    """

    head: Head = "4conv1fc"
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    window_size: int = 14
    global_window_size: int = 56
    interactions: int = 4
    init_values: float = 1e-6
    conv_inplane: int = 64
    deform_num_heads: int = 16
    deform_ratio: float = 0.5
    drop_path: float = 0.3
    neck_heads: int = 32
    neck_drop_path: float = 0.3
    neck_norm: NeckNorm = "group"
    norm_groups: int = 32
    checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth % self.interactions:
            raise KitError(
                f"{self.depth} blocks cannot be divided evenly into {self.interactions} interactions",
                fix="choose a depth that is a multiple of the interactions",
            )


def _build(spec: NetworkSpec, size: ViTAdapterSize) -> HybridTaskCascade:
    with quiet():
        import vit_adapter  # noqa: F401  # registers its classes
    maps = [size.embed_dim] * 4
    # The adapter returns four maps of equal width, at strides 4, 8, 16 and 32.
    attention = {
        "type": "ExtraAttention",
        "in_channels": maps,
        "num_head": size.neck_heads,
        "drop_path": size.neck_drop_path,
        "with_cp": size.checkpointing,
    }
    group = {"type": "GN", "num_groups": size.norm_groups, "requires_grad": True}
    pyramid = {
        "type": "FPN",
        "in_channels": maps,
        "out_channels": size.neck_channels,
        "num_outs": 5,
        "norm_cfg": group if size.neck_norm == "group" else None,
    }
    model = config(size, backbone=_backbone(size), neck=[attention, pyramid])
    return HybridTaskCascade(spec, build_detector(spec, model))


def _backbone(size: ViTAdapterSize) -> dict[str, Any]:
    # 24 blocks in 4 interactions: windows 14, 14, 14, 14, 14, 56, four times.
    span = size.depth // size.interactions
    windows = [*[size.window_size] * (span - 1), size.global_window_size] * size.interactions
    return {
        "type": "BEiTAdapter",
        "img_size": 224,
        "embed_dim": size.embed_dim,
        "depth": size.depth,
        "num_heads": size.num_heads,
        "qkv_bias": True,
        "init_values": size.init_values,
        "window_attn": True,
        "window_size": windows,
        "drop_path_rate": size.drop_path,
        "conv_inplane": size.conv_inplane,
        "deform_num_heads": size.deform_num_heads,
        "deform_ratio": size.deform_ratio,
        "interaction_indexes": [[first, first + span - 1] for first in range(0, size.depth, span)],
        # Published with SyncBN, which training makes of it for several processes; the names stay the same.
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "with_cp": size.checkpointing,
    }


_TINY = {
    **TINY,
    "embed_dim": 64,
    "depth": 8,
    "num_heads": 4,
    "window_size": 4,
    "global_window_size": 8,
    # The published 1e-6 protects pretrained features. Random weights need more influence.
    "init_values": 0.1,
    "conv_inplane": 16,
    "deform_num_heads": 4,
    "drop_path": 0.1,
    "neck_heads": 4,
    "neck_drop_path": 0.1,
    "norm_groups": 8,
    "head_channels": 32,
}


ENTRIES = (
    Entry(spec=declaration("vit-adapter-l", "vit-adapter"), size=ViTAdapterSize(), build=_build, tiny=_TINY),
    Entry(
        spec=declaration("vit-adapter-l-3x", "vit-adapter"),
        size=ViTAdapterSize(head="4conv1fc-plain", neck_norm="none", drop_path=0.4),
        build=_build,
        tiny=_TINY,
    ),
)
