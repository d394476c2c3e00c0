"""CBNetV2 on Swin transformers with a Hybrid Task Cascade: of the 3rd place of Hacking the Human Vasculature.

Two backbones, of which the lead also sees what its assistant found at deeper stages. In training the cascade
runs on both, the assistant's losses count half; in prediction on the lead's maps alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from kit.models.cascade import HybridTaskCascade, declaration
from kit.models.entry import Entry
from kit.models.htc import TINY, CascadeSize, Head, config
from kit.models.network_spec import NetworkSpec
from kit.models.openmmlab import quiet


@dataclass(frozen=True, kw_only=True)
class CBSwinSize(CascadeSize):
    """Everything about the detector that may differ between its published and its tiny form.

    Attributes:
        embed_dim: width of each Swin transformer's first stage; every later one has twice the one before.
        depths: blocks of each stage.
        num_heads: of each stage's attention.
        window_size: side of the attention windows, in tokens.
        drop_path: stochastic depth of the last block; rises linearly from 0 at the first.
        checkpointing: blocks are computed again in the backward pass instead of being kept.
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
        import cbnetv2  # noqa: F401  # it registers its classes
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
    neck = {
        "type": "CBFPN",
        "in_channels": [size.embed_dim * 2**stage for stage in range(len(size.depths))],
        "out_channels": size.neck_channels,
        "num_outs": 5,
    }
    model = config(size, backbone=backbone, neck=neck, detector="CBHybridTaskCascade")
    return HybridTaskCascade(spec, model)


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
