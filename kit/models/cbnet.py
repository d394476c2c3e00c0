"""CBNetV2 on Swin transformers with a Hybrid Task Cascade: of the 3rd place of Hacking the Human Vasculature.

Two backbones, of which the lead also sees what its assistant found at deeper stages. In training the cascade
runs on both, the assistant's losses count half; in prediction on the lead's maps alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from kit.models.cascade import HybridTaskCascade, declaration
from kit.models.entry import Entry
from kit.models.htc import TINY, CascadeSize, Head, config
from kit.models.openmmlab import quiet
from kit.models.spec import NetworkSpec


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


def _build(spec: NetworkSpec, /, **size: Any) -> HybridTaskCascade:
    chosen = CBSwinSize(**size)
    with quiet():
        import cbnetv2  # noqa: F401  # it registers its classes
    backbone = {
        "type": "CBSwinTransformer",
        "embed_dim": chosen.embed_dim,
        "depths": list(chosen.depths),
        "num_heads": list(chosen.num_heads),
        "window_size": chosen.window_size,
        "drop_path_rate": chosen.drop_path,
        "use_checkpoint": chosen.checkpointing,
        "cb_del_stages": 1,
    }
    neck = {
        "type": "CBFPN",
        "in_channels": [chosen.embed_dim * 2**stage for stage in range(len(chosen.depths))],
        "out_channels": chosen.neck_channels,
        "num_outs": 5,
    }
    model = config(chosen, backbone=backbone, neck=neck, detector="CBHybridTaskCascade")
    return HybridTaskCascade(spec, model)


_SPEC = declaration("cbnetv2-swin-b", "cbnetv2")

ENTRIES = (
    Entry(
        spec=_SPEC,
        build=partial(_build, _SPEC),
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
