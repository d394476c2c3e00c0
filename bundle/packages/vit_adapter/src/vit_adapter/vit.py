"""Vision transformer as detectors use it: DeiT, AugReg, MAE and DINOv2 weights fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .body import Body
from .layers import Block, Mlp, PatchEmbedding, Size, head_width, init_linear_and_norm, resize_positions
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


class ViT(Body):
    """The body of `ViTAdapter` and `ViTBaseline`.

    Args:
        qkv_bias: bias of queries, keys and values.
        drop_rate: dropout of tokens and outputs.
        attn_drop_rate: dropout of attention probabilities.
        layer_scale: learnt factors on both branches, 1 at the start.
        common: of `Body`.

    Raises:
        ValueError: as `Body`.
    """

    def __init__(
        self,
        *,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        layer_scale: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        dim = self.embed_dim
        self.patch_embed = PatchEmbedding(self.patch_size, self.in_chans, dim)
        # The first entry is the class token's, which detectors don't use.
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1] + 1, dim))
        self.drop_rate = drop_rate

        def attention(window: int | None) -> ViTAttention:
            return ViTAttention(
                dim, self.num_heads, window, qkv_bias=qkv_bias, attn_drop=attn_drop_rate, proj_drop=drop_rate
            )

        self.blocks = nn.ModuleList(
            Block(
                dim,
                attention(window),
                Mlp(dim, int(dim * self.mlp_ratio), drop=drop_rate, hidden_drop=drop_rate),
                drop_path=rate,
                init_values=1.0 if layer_scale else None,
                gammas=("gamma1", "gamma2"),
            )
            for window, rate in self.block_words()
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
