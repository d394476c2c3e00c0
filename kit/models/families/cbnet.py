"""CBNetV2 on Swin transformers with a Hybrid Task Cascade: 3rd place of Hacking the Human Vasculature.

The network has two backbones, an assistant and a lead. The lead also gets the assistant's maps of deeper
stages. In training, the cascade runs on both, and the assistant's losses count half. In prediction, it runs
on the lead only.
"""

from __future__ import annotations

from dataclasses import dataclass

from kit.models.cascade import HybridTaskCascade, build_detector, declaration
from kit.models.entry import Entry
from kit.models.htc import TINY, CascadeSize, Head, config
from kit.models.network_spec import NetworkSpec
from kit.models.openmmlab import quiet


@dataclass(frozen=True, kw_only=True)
class CBSwinSize(CascadeSize):
    """The settings of the detector that its published and its tiny form may choose.

    Attributes:
        embed_dim: channels of the first stage of each Swin transformer; each further stage has twice as many.
        depths: number of blocks of each stage.
        num_heads: attention heads of each stage.
        window_size: side of the attention windows, in tokens.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first block.
        checkpointing: compute the blocks again in the backward pass, to save memory.
    """

    head: Head = "4conv1fc"
    embed_dim: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    num_heads: tuple[int, ...] = (4, 8, 16, 32)
    window_size: int = 7
    drop_path: float = 0.3
    checkpointing: bool = False


def _build(spec: NetworkSpec, size: CBSwinSize) -> HybridTaskCascade:
    with quiet():
        import cbnetv2  # noqa: F401  # registers its classes
    # Published: stages of 128, 256, 512 and 1024 channels at strides 4, 8, 16 and 32.
    backbone = {
        "type": "CBSwinTransformer",
        "embed_dim": size.embed_dim,
        "depths": list(size.depths),
        "num_heads": list(size.num_heads),
        "window_size": size.window_size,
        "drop_path_rate": size.drop_path,
        "use_checkpoint": size.checkpointing,
        "cb_del_stages": 1,
    }
    # The pyramid makes five maps of them, at strides 4 to 64.
    neck = {
        "type": "CBFPN",
        "in_channels": [size.embed_dim * 2**stage for stage in range(len(size.depths))],
        "out_channels": size.neck_channels,
        "num_outs": 5,
    }
    model = config(size, backbone=backbone, neck=neck, detector="CBHybridTaskCascade")
    return HybridTaskCascade(spec, build_detector(spec, model))


ENTRIES = (
    Entry(
        spec=declaration("cbnetv2-swin-b", "cbnetv2"),
        size=CBSwinSize(),
        build=_build,
        tiny={
            **TINY,
            "embed_dim": 16,
            "depths": [2, 2, 2, 2],
            "num_heads": [1, 2, 4, 8],
            "drop_path": 0.1,
            "head_channels": 32,
        },
    ),
)
