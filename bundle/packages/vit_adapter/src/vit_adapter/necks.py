"""HTC++'s self-attention on the coarsest map, and a neck without a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmcv.runner import BaseModule
from mmdet.models.builder import NECKS
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Mlp, Residual, as_map, init_linear_and_norm, new_gamma, run
from .vit import ViTAttention

_RELU = {"type": "ReLU"}


@NECKS.register_module()
class ExtraAttention(BaseModule):  # type: ignore[misc]  # mmcv has no types
    """A transformer block without positions on the last of the maps; the others pass through.

    x + attention(norm1(x)), x + mlp(norm2(x)), final_norm(x). First element of a list of necks, before FPN.

    Args:
        in_channels: of every map; only the last one counts here.
        num_head: of the attention.
        with_ffn: the second step.
        ffn_ratio: its hidden over its outer channels.
        drop_path: stochastic depth around both steps.
        init_values: layer scale at the start; None for no layer scale.
        with_cp: recompute activations in the backward pass.
        use_final_norm: the third step.
        init_cfg: mmcv's.

    Raises:
        ValueError: heads that do not divide the channels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_head: int,
        *,
        with_ffn: bool = True,
        ffn_ratio: float = 4.0,
        drop_path: float = 0.0,
        init_values: float | None = None,
        with_cp: bool = False,
        use_final_norm: bool = True,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        dim = in_channels[-1]
        self.dim, self.with_cp = dim, with_cp
        self.norm1 = nn.LayerNorm(dim)
        self.attn = ViTAttention(dim, num_head)
        self.residual = Residual(drop_path)
        self.norm2 = nn.LayerNorm(dim) if with_ffn else None
        self.ffn = Mlp(dim, int(dim * ffn_ratio)) if with_ffn else None
        self.gamma_1 = new_gamma(dim, init_values)
        self.gamma_2 = new_gamma(dim, init_values if with_ffn else None)
        self.final_norm = nn.LayerNorm(dim) if use_final_norm else None
        init_linear_and_norm(self)

    def forward(self, maps_NCHW: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps, the last of them (B, in_channels[-1], h, w) -> the same shapes.

        Raises:
            ValueError: a last map of another width.
        """
        *finer, coarsest = maps_NCHW
        if coarsest.ndim != 4 or coarsest.shape[1] != self.dim:
            raise ValueError(
                f"ExtraAttention takes a last map of {self.dim} channels, not one of {tuple(coarsest.shape)}"
            )
        return (*finer, run(self._attend, coarsest, recompute=self.with_cp))

    def _attend(self, map_NCHW: Tensor) -> Tensor:
        size = (map_NCHW.shape[2], map_NCHW.shape[3])
        tokens_BNC: Tensor = map_NCHW.flatten(2).transpose(1, 2)
        tokens_BNC = self.residual(tokens_BNC, self.attn(self.norm1(tokens_BNC), size), self.gamma_1)
        if self.norm2 is not None and self.ffn is not None:
            tokens_BNC = self.residual(tokens_BNC, self.ffn(self.norm2(tokens_BNC)), self.gamma_2)
        if self.final_norm is not None:
            tokens_BNC = self.final_norm(tokens_BNC)
        return as_map(tokens_BNC, size)


@NECKS.register_module()
class ChannelMapperWithPooling(BaseModule):  # type: ignore[misc]  # mmcv has no types
    """One convolution a map and max-pooled extra maps: an adapter's maps need no feature pyramid.

    Args:
        in_channels: of every map.
        out_channels: of every map that comes out.
        kernel_size: of the convolutions.
        conv_cfg: of mmcv's `ConvModule`.
        norm_cfg: of mmcv's `ConvModule`.
        act_cfg: of mmcv's `ConvModule`; ReLU by default, as in the published detector. None for none.
        num_outs: maps that come out, those of `in_channels` by default.
        init_cfg: mmcv's; Xavier uniform convolutions by default.

    Raises:
        ValueError: fewer maps out than in.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        kernel_size: int = 1,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = _RELU,
        num_outs: int | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg or {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"})
        self.extra = (len(in_channels) if num_outs is None else num_outs) - len(in_channels)
        if self.extra < 0:
            raise ValueError(f"num_outs {num_outs} is below the {len(in_channels)} maps that come in")
        self.convs = nn.ModuleList(
            ConvModule(
                channels,
                out_channels,
                kernel_size,
                padding=(kernel_size - 1) // 2,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )
            for channels in in_channels
        )

    def forward(self, maps_NCHW: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps in the order of `in_channels` -> `num_outs` maps of `out_channels`.

        Raises:
            ValueError: another number of maps.
        """
        if len(maps_NCHW) != len(self.convs):
            raise ValueError(f"{len(maps_NCHW)} maps for a neck of {len(self.convs)}")
        outs = [conv(level) for conv, level in zip(self.convs, maps_NCHW, strict=True)]
        for _ in range(self.extra):
            # A side of 1 stays 1: pooling over 2 would leave nothing.
            outs.append(F.max_pool2d(outs[-1], [min(2, side) for side in outs[-1].shape[2:]]))
        return tuple(outs)
