"""mmdet's DetectoRS with a Hybrid Task Cascade: 3rd place of Hacking the Human Vasculature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kit.errors import KitError
from kit.models.cascade import HybridTaskCascade, build_detector, declaration
from kit.models.entry import Entry
from kit.models.htc import TINY, CascadeSize, config
from kit.models.network_spec import NetworkSpec

_EXPANSION = 4
_ASPP_BRANCHES = 4
_LEAST_SIDE = 96
"""SAC reflects two pixels at its border, so its input needs three: 96 / 32 in the last stage."""


@dataclass(frozen=True, kw_only=True)
class DetectoRSSize(CascadeSize):
    """The settings of the detector that its published and its tiny form may choose.

    Attributes:
        depth: layers of the ResNet.
        base_channels: channels of the ResNet's first stage.
        groups: of the 3x3 convolutions; with more than one the backbone is a ResNeXt.
        base_width: channels of a group in the first stage of a ResNeXt.
        norm: "frozen" keeps the batch statistics of pretraining and does not train the stem, as published;
            "batch" trains both; "group" needs no batch statistics.
        norm_groups: number of groups of norm "group".
        checkpointing: compute the blocks again in the backward pass, to save memory. With norm "batch", the
            statistics then see every batch twice. `kit.local.training` does this to a built network.
    """

    depth: Literal[50, 101, 152] = 50
    base_channels: int = 64
    groups: int = 1
    base_width: int = 4
    norm: Literal["frozen", "batch", "group"] = "frozen"
    norm_groups: int = 8
    checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neck_channels % _ASPP_BRANCHES:
            raise KitError(
                f"neck_channels {self.neck_channels} cannot be split over {_ASPP_BRANCHES} atrous branches",
                fix=f"choose a multiple of {_ASPP_BRANCHES}",
            )
        if self.norm == "group" and self.base_channels % self.norm_groups:
            raise KitError(
                f"{self.base_channels} channels cannot be split into {self.norm_groups} groups",
                fix="choose base_channels that are a multiple of norm_groups",
            )


def _build(spec: NetworkSpec, size: DetectoRSSize) -> HybridTaskCascade:
    backbone = _backbone(size)
    # The recursive feature pyramid runs twice: image -> backbone -> pyramid -> second backbone -> pyramid.
    # Both backbones have ConvAWS, and deformable switchable atrous convolutions in the last three stages.
    neck = {
        "type": "RFP",
        # Published: 256, 512, 1024 and 2048 channels.
        "in_channels": [size.base_channels * _EXPANSION * 2**stage for stage in range(4)],
        "out_channels": size.neck_channels,
        "num_outs": 5,
        "rfp_steps": 2,
        "aspp_out_channels": size.neck_channels // _ASPP_BRANCHES,
        "aspp_dilations": (1, 3, 6, 1),
        "rfp_backbone": {**backbone, "rfp_inplanes": size.neck_channels},
    }
    model = config(size, backbone={**backbone, "output_img": True}, neck=neck)
    return HybridTaskCascade(spec, build_detector(spec, model), least_side=_LEAST_SIDE)


def _backbone(size: DetectoRSSize) -> dict[str, Any]:
    batch = {"type": "BN", "requires_grad": True}
    group = {"type": "GN", "num_groups": size.norm_groups, "requires_grad": True}
    grouped = {"type": "DetectoRS_ResNeXt", "groups": size.groups, "base_width": size.base_width}
    return {
        **(grouped if size.groups > 1 else {"type": "DetectoRS_ResNet"}),
        "depth": size.depth,
        "base_channels": size.base_channels,
        "stem_channels": size.base_channels,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "frozen_stages": 1 if size.norm == "frozen" else -1,
        "norm_cfg": group if size.norm == "group" else batch,
        "norm_eval": size.norm == "frozen",
        "style": "pytorch",
        "conv_cfg": {"type": "ConvAWS"},
        "sac": {"type": "SAC", "use_deform": True},
        "stage_with_sac": (False, True, True, True),
    }


_TINY = {**TINY, "base_channels": 8, "norm": "batch"}


ENTRIES = (
    Entry(spec=declaration("detectors-r50"), size=DetectoRSSize(), build=_build, tiny=_TINY),
    Entry(
        spec=declaration("detectors-x101"),
        size=DetectoRSSize(depth=101, groups=32, base_width=4),
        build=_build,
        tiny={**_TINY, "depth": 50, "groups": 2, "base_width": 4},
    ),
)
