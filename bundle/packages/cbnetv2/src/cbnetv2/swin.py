"""Swin transformer for detection, under the parameter names of the published checkpoints.

mmdet registers a class of the same name with other words and keys, so this one stays out of its registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, cast

import torch
from mmcv.runner import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from cbnetv2.blocks import Norm, PatchEmbed, PatchMerging, SwinBlock, WindowAttention
from cbnetv2.pretrained import load_into, read_checkpoint
from cbnetv2.windows import LayoutCache

_INIT_STD = 0.02


class SwinStage(nn.Module):
    """Blocks at one resolution, every second one with shifted windows.

    Args:
        blocks: their number is the stage's depth.
        downsample: what leads to the next stage; None in the last.
        window: side in tokens.
        use_checkpoint: whether training recomputes each block's activations instead of keeping them.
    """

    def __init__(
        self,
        blocks: Sequence[SwinBlock],
        downsample: PatchMerging | None,
        *,
        window: int,
        use_checkpoint: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.use_checkpoint = use_checkpoint
        self._layouts = LayoutCache(window)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """(B, H, W, C) -> the same shape; `downsample` is left to the caller."""
        for block in cast("Iterable[SwinBlock]", self.blocks):
            layout = self._layouts.layout(x_BHWC, block.shift)
            if self.use_checkpoint and self.training and torch.is_grad_enabled():
                x_BHWC = checkpoint(block, x_BHWC, layout, use_reentrant=False)
            else:
                x_BHWC = block(x_BHWC, layout)
        return x_BHWC


class SwinTransformer(BaseModule):  # type: ignore[misc]  # mmdet has no types
    """Hierarchical transformer with shifted windows (Liu et al. 2021, arXiv 2103.14030).

    Args:
        pretrain_img_size: side of the images of pretraining in pixels; only `ape` asks.
        patch_size: side of a patch in pixels, the stride of the first stage.
        in_chans: of the images.
        embed_dim: channels C of the first stage; stage i has C * 2**i.
        depths: blocks in each stage.
        num_heads: in each stage; each must divide the stage's channels.
        window_size: side of a window in tokens.
        mlp_ratio: hidden over outer width of the MLPs.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: of the attention logits; by default one over the root of the head's width.
        drop_rate: dropout after embedding, attention and MLP.
        attn_drop_rate: dropout of attention weights.
        drop_path_rate: of the last block; rises linearly from 0 in the first.
        norm_layer: makes a normalisation of a number of channels.
        ape: whether tokens get a learned absolute position, resized to the image.
        patch_norm: whether patches are normalised.
        out_indices: stages whose maps are returned.
        frozen_stages: stages 1 to this number keep their weights, and so does the embedding; -1 for none.
        use_checkpoint: whether training recomputes blocks instead of keeping their activations.
        pretrained: path of a checkpoint for `init_weights`; the same as an `init_cfg` of type "Pretrained".
        init_cfg: mmcv's way of saying where weights come from.

    Raises:
        ValueError: sizes that do not fit each other.
    """

    def __init__(
        self,
        *,
        pretrain_img_size: int = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.2,
        norm_layer: Norm = nn.LayerNorm,
        ape: bool = False,
        patch_norm: bool = True,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        use_checkpoint: bool = False,
        pretrained: str | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.pretrained = checkpoint_path(pretrained, init_cfg)
        self.num_features = [embed_dim * 2**stage for stage in range(len(depths))]
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self._check(num_heads)
        self.patch_embed: PatchEmbed | None = PatchEmbed(
            in_chans, embed_dim, patch_size, norm_layer if patch_norm else None
        )
        self.absolute_pos_embed: nn.Parameter | None = None
        if ape:
            side = pretrain_img_size // patch_size
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, embed_dim, side, side))
        self.pos_drop = nn.Dropout(drop_rate)
        last = max(sum(depths) - 1, 1)
        self.layers = nn.ModuleList()
        for stage, channels in enumerate(self.num_features):
            before = sum(depths[:stage])
            blocks = [
                SwinBlock(
                    WindowAttention(
                        channels,
                        num_heads[stage],
                        window_size,
                        qkv_bias=qkv_bias,
                        qk_scale=qk_scale,
                        attn_drop=attn_drop_rate,
                        drop=drop_rate,
                    ),
                    shift=window_size // 2 if block % 2 else 0,
                    hidden=int(channels * mlp_ratio),
                    norm=norm_layer,
                    drop=drop_rate,
                    drop_path=drop_path_rate * (before + block) / last,
                )
                for block in range(depths[stage])
            ]
            merging = PatchMerging(channels, norm_layer) if stage + 1 < len(depths) else None
            self.layers.append(SwinStage(blocks, merging, window=window_size, use_checkpoint=use_checkpoint))
        for stage in self.out_indices:
            self.add_module(f"norm{stage}", norm_layer(self.num_features[stage]))
        self._freeze()

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """Images -> tokens of the first stage, (N, ceil(h / patch), ceil(w / patch), embed_dim)."""
        assert self.patch_embed is not None, "a lead transformer starts from the assistant's tokens"
        x_BHWC: Tensor = self.patch_embed(x_NCHW)
        if self.absolute_pos_embed is not None:
            size = x_BHWC.shape[1:3]
            position_NCHW = F.interpolate(self.absolute_pos_embed, size, mode="bicubic", align_corners=False)
            x_BHWC = x_BHWC + position_NCHW.permute(0, 2, 3, 1)
        dropped: Tensor = self.pos_drop(x_BHWC)
        return dropped

    def advance(self, stage: int, x_BHWC: Tensor) -> tuple[Tensor, Tensor]:
        """One stage's output, and the next stage's input (the same tensor behind the last stage)."""
        layer = self.layers[stage]
        assert isinstance(layer, SwinStage), f"stage {stage} has been deleted"
        out_BHWC: Tensor = layer(x_BHWC)
        return out_BHWC, out_BHWC if layer.downsample is None else layer.downsample(out_BHWC)

    def normalised(self, stage: int, x_BHWC: Tensor) -> Tensor:
        """A stage's output behind its own normalisation, as NCHW (a view, channels last in memory)."""
        out: Tensor = self.get_submodule(f"norm{stage}")(x_BHWC)
        return out.permute(0, 3, 1, 2)

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stages in `out_indices`.

        Args:
            x_NCHW: images of any size.

        Returns:
            (N, embed_dim * 2**i, ceil(h / (patch * 2**i)), ...) for each i, up to rounding at every stage.

        Raises:
            ValueError: not images of `in_chans` channels.
        """
        x_BHWC = self.embed(x_NCHW)
        outs = []
        for index in range(len(self.layers)):
            out_BHWC, x_BHWC = self.advance(index, x_BHWC)
            if index in self.out_indices:
                outs.append(self.normalised(index, out_BHWC).contiguous())
        return tuple(outs)

    def init_weights(self) -> None:
        """Draw weights as published, then load `pretrained` where there is one.

        Linear weights, bias tables and absolute positions: normal of deviation 0.02, cut at 2; biases 0;
        LayerNorm 1 and 0; the patch convolution keeps torch's own.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, WindowAttention):
                nn.init.trunc_normal_(module.relative_position_bias_table, std=_INIT_STD)
        if self.absolute_pos_embed is not None:
            nn.init.trunc_normal_(self.absolute_pos_embed, std=_INIT_STD)
        if self.pretrained is not None:
            load_into(self, read_checkpoint(self.pretrained))

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; frozen stages stay in evaluation."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen: list[nn.Module | None] = [self.patch_embed, self.pos_drop]
        for stage in range(self.frozen_stages):
            frozen += [self.layers[stage], self._modules.get(f"norm{stage}")]
        for module in frozen:
            if module is not None:
                module.eval().requires_grad_(False)
        if self.absolute_pos_embed is not None:
            self.absolute_pos_embed.requires_grad_(False)

    def _check(self, num_heads: Sequence[int]) -> None:
        stages = len(self.num_features)
        if len(num_heads) != stages:
            raise ValueError(
                f"num_heads names {len(num_heads)} stages and depths {stages}; give one number each"
            )
        for channels, heads in zip(self.num_features, num_heads, strict=True):
            if channels % heads:
                raise ValueError(
                    f"{channels} channels cannot be split over {heads} heads; "
                    "change num_heads or embed_dim so that each stage's width is a multiple"
                )
        if not self.out_indices or min(self.out_indices) < 0 or max(self.out_indices) >= stages:
            raise ValueError(f"out_indices {self.out_indices} must name some of the stages 0 to {stages - 1}")
        if not -1 <= self.frozen_stages <= stages:
            raise ValueError(f"frozen_stages is {self.frozen_stages}; it must lie between -1 and {stages}")


def checkpoint_path(pretrained: str | None, init_cfg: Mapping[str, Any] | None) -> str | None:
    """Where weights come from, whichever of mmdet's two ways says it.

    Raises:
        ValueError: both ways at once, or an `init_cfg` that is not of type "Pretrained".
    """
    if init_cfg is None:
        return pretrained
    if pretrained is not None:
        raise ValueError("pretrained and init_cfg both say where weights come from; keep one")
    if init_cfg.get("type") != "Pretrained" or "checkpoint" not in init_cfg:
        raise ValueError(f"init_cfg {dict(init_cfg)} is not dict(type='Pretrained', checkpoint=PATH)")
    return str(init_cfg["checkpoint"])
