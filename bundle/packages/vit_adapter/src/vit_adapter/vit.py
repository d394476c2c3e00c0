"""Vision transformer as detectors use it: DeiT, AugReg, MAE and DINOv2 weights fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .body import Body
from .layers import (
    Mlp,
    PatchEmbedding,
    Residual,
    Size,
    drop_path_rates,
    head_width,
    init_linear_and_norm,
    new_gamma,
    per_block,
    resize_positions,
)
from .windows import attend, attend_in_windows, fill_windows


class ViTAttention(nn.Module):
    """Self-attention over the whole map or in windows.

    Args:
        dim: channels C.
        num_heads: divides C.
        window: side of the windows, tokens; None attends over the whole map.
        qkv_bias: bias of the projection.
        attn_drop: dropout of the attention probabilities.
        proj_drop: dropout of the output.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: int | None = None,
        *,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        head_width(dim, num_heads, "ViT attention")
        self.num_heads, self.window = num_heads, window
        self.attn_drop, self.proj_drop = attn_drop, proj_drop
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape."""
        qkv_BNC = self.qkv(tokens_BNC)
        dropout = self.attn_drop if self.training else 0.0
        if self.window is None:
            attended_BNC = attend(qkv_BNC, self.num_heads, dropout=dropout)
        else:
            # Filled up behind the projection: a filling token's key and value are 0.
            filled_BHWC = fill_windows(torch.unflatten(qkv_BNC, 1, size), self.window)
            attended_BHWC = attend_in_windows(filled_BHWC, size, self.window, self.num_heads, dropout=dropout)
            attended_BNC = attended_BHWC.flatten(1, 2)
        return F.dropout(self.proj(attended_BNC), self.proj_drop, self.training)


class ViTBlock(nn.Module):
    """x + gamma1 * attention(norm1(x)), then x + gamma2 * mlp(norm2(x)), both under stochastic depth.

    Args:
        dim: channels.
        attn: the attention.
        mlp_ratio: hidden channels over `dim`.
        init_values: layer scale at the start; None for no layer scale.
        drop: dropout in the feed-forward network.
        drop_path: rate of the stochastic depth.
    """

    def __init__(
        self,
        dim: int,
        attn: ViTAttention,
        *,
        mlp_ratio: float,
        init_values: float | None,
        drop: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=drop, hidden_drop=drop)
        self.residual = Residual(drop_path)
        self.gamma1, self.gamma2 = new_gamma(dim, init_values), new_gamma(dim, init_values)

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape."""
        tokens_BNC = self.residual(tokens_BNC, self.attn(self.norm1(tokens_BNC), size), self.gamma1)
        fed_BNC: Tensor = self.residual(tokens_BNC, self.mlp(self.norm2(tokens_BNC)), self.gamma2)
        return fed_BNC


class ViT(Body):
    """The body of `ViTAdapter` and `ViTBaseline`.

    Args:
        img_size: side the position table is made for, pixels; it is resized to every other size.
        patch_size: 16.
        in_chans: image channels.
        embed_dim: token channels.
        depth: blocks.
        num_heads: of the self-attention.
        mlp_ratio: hidden over token channels of the feed-forward networks.
        qkv_bias: bias of queries, keys and values.
        drop_rate: dropout of tokens and outputs.
        attn_drop_rate: dropout of attention probabilities.
        drop_path_rate: stochastic depth of the last block, growing linearly from 0.
        layer_scale: learnt gammas on both branches, 1 at the start.
        window_attn: attention in windows, for all blocks or one flag a block.
        window_size: tokens, for all blocks or one a block; not read (None) where attention is global.
        with_cp: recompute activations in the backward pass.
        init_cfg: mmcv's.

    Raises:
        ValueError: sizes that do not fit each other, lists that are not one entry a block.
    """

    def __init__(
        self,
        *,
        img_size: int = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale: bool = True,
        window_attn: bool | Sequence[bool] = False,
        window_size: int | Sequence[int | None] = 14,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            in_chans=in_chans,
            patch_size=patch_size,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        windows = windows_of(window_attn, window_size, depth)
        rates = drop_path_rates(drop_path_rate, depth)
        self.patch_embed = PatchEmbedding(patch_size, in_chans, embed_dim)
        self.grid = (img_size // patch_size, img_size // patch_size)
        # The first entry is the class token's, which detectors don't use.
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1] + 1, embed_dim))
        self.drop_rate = drop_rate
        self.blocks = nn.ModuleList(
            ViTBlock(
                embed_dim,
                ViTAttention(
                    embed_dim,
                    num_heads,
                    windows[block],
                    qkv_bias=qkv_bias,
                    attn_drop=attn_drop_rate,
                    proj_drop=drop_rate,
                ),
                mlp_ratio=mlp_ratio,
                init_values=1.0 if layer_scale else None,
                drop=drop_rate,
                drop_path=rates[block],
            )
            for block in range(depth)
        )
        init_linear_and_norm(self)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    @property
    def stack(self) -> nn.ModuleList:
        """The blocks."""
        return self.blocks

    def embed_tokens(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        """An image of whole patches -> tokens (B, H * W, C) and (H, W)."""
        tokens_BNC, size = self.patch_embed(image_NCHW)
        positions_1NC = resize_positions(self.pos_embed[:, 1:], self.grid, size)
        return F.dropout(tokens_BNC + positions_1NC, self.drop_rate, self.training), size


def windows_of(
    window_attn: bool | Sequence[bool], window_size: int | Sequence[int | None] | None, depth: int
) -> list[int | None]:
    """Each block's window, None for attention over the whole map.

    Raises:
        ValueError: lists that are not one entry a block, a windowed block without a size.
    """
    windowed = per_block(window_attn, depth, "window_attn")
    sizes = per_block(window_size, depth, "window_size")
    for block, (flag, size) in enumerate(zip(windowed, sizes, strict=True)):
        if flag and (size is None or size < 1):
            raise ValueError(
                f"block {block} attends in windows, but its window_size is {size}; give its side"
            )
    return [size if flag else None for flag, size in zip(windowed, sizes, strict=True)]
