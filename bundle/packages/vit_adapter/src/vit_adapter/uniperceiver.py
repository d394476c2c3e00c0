"""The Uni-Perceiver encoder as detectors use it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .body import Body
from .layers import Residual, Size, head_width, init_linear_and_norm, resize_positions
from .windows import attend, attend_in_windows, fill_windows

_FRAMES = 8
_EPS = 1e-5


class UniPerceiverAttention(nn.Module):
    """Self-attention over the whole map or in windows, named as in the checkpoints.

    Args:
        dim: channels C.
        num_heads: divides C.
        window: side of the windows, tokens; None attends over the whole map.
    """

    def __init__(self, dim: int, num_heads: int, window: int | None = None) -> None:
        super().__init__()
        head_width(dim, num_heads, "Uni-Perceiver attention")
        self.num_heads, self.window = num_heads, window
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape."""
        if self.window is None:
            attended_BNC = attend(self.in_proj(tokens_BNC), self.num_heads)
        else:
            # Filled up before the projection, a filling token would come out as the bias: the same comes out
            # when the map is filled up between weight and bias.
            projected_BHWC = torch.unflatten(F.linear(tokens_BNC, self.in_proj.weight), 1, size)
            qkv_BHWC = fill_windows(projected_BHWC, self.window) + self.in_proj.bias.to(projected_BHWC.dtype)
            attended_BNC = attend_in_windows(qkv_BHWC, size, self.window, self.num_heads).flatten(1, 2)
        out_BNC: Tensor = self.out_proj(attended_BNC)
        return out_BNC


class UniPerceiverLayer(nn.Module):
    """x + gamma_1 * attention(norm1(x)), then x + gamma_2 * mlp(norm2(x)); the gammas start at 0.

    Args:
        dim: channels.
        num_heads: of the self-attention.
        window: side of the windows, tokens; None attends over the whole map.
        mlp_ratio: hidden channels over `dim`.
        drop_path: rate of the stochastic depth.
    """

    def __init__(
        self, dim: int, num_heads: int, window: int | None, *, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.self_attn = UniPerceiverAttention(dim, num_heads, window)
        self.linear1 = nn.Linear(dim, int(dim * mlp_ratio))
        self.linear2 = nn.Linear(int(dim * mlp_ratio), dim)
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.gamma_1 = nn.Parameter(torch.zeros(dim))
        self.gamma_2 = nn.Parameter(torch.zeros(dim))
        self.residual = Residual(drop_path)

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape."""
        tokens_BNC = self.residual(tokens_BNC, self.self_attn(self.norm1(tokens_BNC), size), self.gamma_1)
        fed_BNC = self.linear2(F.gelu(self.linear1(self.norm2(tokens_BNC))))
        out_BNC: Tensor = self.residual(tokens_BNC, fed_BNC, self.gamma_2)
        return out_BNC


class _VisualPatches(nn.Module):
    """Patches with a spatial position each and the first frame's temporal position."""

    def __init__(self, grid: Size, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.grid = grid
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)
        self.spatial_pos_embed = nn.Embedding(grid[0] * grid[1], embed_dim)
        self.temporal_pos_embed = nn.Embedding(_FRAMES, embed_dim)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        patches_NCHW: Tensor = self.proj(image_NCHW)
        size = (patches_NCHW.shape[2], patches_NCHW.shape[3])
        spatial_1NC = resize_positions(self.spatial_pos_embed.weight[None], self.grid, size)
        positions_1NC = spatial_1NC + self.temporal_pos_embed.weight[0]
        return patches_NCHW.flatten(2).transpose(1, 2) + positions_1NC, size


class _VisualEmbedding(nn.Module):
    """Patches, normalised."""

    def __init__(self, grid: Size, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_embed = _VisualPatches(grid, patch_size, in_chans, embed_dim)
        self.embeddings_norm = nn.LayerNorm(embed_dim, eps=_EPS)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        tokens_BNC, size = self.patch_embed(image_NCHW)
        return self.embeddings_norm(tokens_BNC), size


class UniPerceiver(Body):
    """The body of `UniPerceiverAdapter`.

    Args:
        common: of `Body`.

    Raises:
        ValueError: as `Body`.
    """

    norm_eps = _EPS

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.visual_embed = _VisualEmbedding(self.grid, self.patch_size, self.in_chans, self.embed_dim)
        self.layers = nn.ModuleList(
            UniPerceiverLayer(
                self.embed_dim, self.num_heads, window, mlp_ratio=self.mlp_ratio, drop_path=rate
            )
            for window, rate in self.block_words()
        )
        init_linear_and_norm(self)
        patches = self.visual_embed.patch_embed
        for table in (patches.spatial_pos_embed, patches.temporal_pos_embed):
            nn.init.trunc_normal_(table.weight, std=0.02)

    @property
    def stack(self) -> nn.ModuleList:
        """The layers."""
        return self.layers

    def embed_tokens(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        """An image of whole patches -> tokens (B, H * W, C) and (H, W)."""
        embedded: tuple[Tensor, Size] = self.visual_embed(image_NCHW)
        return embedded
