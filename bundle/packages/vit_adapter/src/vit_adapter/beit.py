"""BEiT as detectors use it: windows everywhere, a relative position table in every block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
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
from .windows import attend_in_windows, fill_windows


def relative_bias(table: Tensor, window: int, queries: Size) -> Tensor:
    """What the table says about a window's queries and keys.

    The entry for query (yq, xq) and key (yk, xk) is row (yq - yk + window - 1) * (2 * window - 1) + xq - xk
    + window - 1 of the table. Along each axis the bias is therefore a sliding window over the table, run
    backwards: a strided view and one flip write it directly. An index of a 56-window alone would take 75 MiB.

    Args:
        table: ((2 * window - 1)^2, heads).
        window: side, tokens.
        queries: rows and columns of the queries, from the window's top left.

    Returns:
        (heads, queries' rows * columns, window * window).
    """
    offsets_HYX = torch.unflatten(table.t(), 1, (2 * window - 1, 2 * window - 1))
    slides = offsets_HYX.unfold(1, window, 1).unfold(2, window, 1)[:, : queries[0], : queries[1]]
    return torch.flip(slides, (3, 4)).flatten(3, 4).flatten(1, 2)


class BEiTAttention(nn.Module):
    """Window attention with a relative position bias and no bias on the keys.

    Args:
        dim: channels C.
        num_heads: divides C.
        window: side of the table's window, tokens.
        windowed: attend inside windows; otherwise over a map that must be exactly one window.
        qkv_bias: learnt biases of queries and values.
        qk_scale: of the logits; the inverse root of a head's width by default.
        attn_drop: dropout of the attention probabilities.
        proj_drop: dropout of the output.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: int,
        *,
        windowed: bool,
        qkv_bias: bool,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
    ) -> None:
        super().__init__()
        head_width(dim, num_heads, "BEiT attention")
        self.num_heads, self.window, self.windowed, self.scale = num_heads, window, windowed, qk_scale
        self.attn_drop, self.proj_drop = attn_drop, proj_drop
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, num_heads))
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape.

        Raises:
            ValueError: a map that is not one window, for attention without windows.
        """
        if not self.windowed and size != (self.window, self.window):
            raise ValueError(
                f"BEiT attention without windows has positions for {self.window} x {self.window} tokens,"
                f" the map has {size[0]} x {size[1]}; set window_attn=True for this block"
            )
        # Filled up before the projection, a filling token would have a key of 0 and v_bias as its value: the
        # same comes out when the projected map is filled up and the biases follow.
        qkv_BHWC = fill_windows(torch.unflatten(F.linear(tokens_BNC, self.qkv.weight), 1, size), self.window)
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
            qkv_BHWC = qkv_BHWC + bias.to(qkv_BHWC.dtype)
        table = self.relative_position_bias_table.to(qkv_BHWC.dtype)
        attended_BHWC = attend_in_windows(
            qkv_BHWC,
            size,
            self.window,
            self.num_heads,
            bias_of=partial(relative_bias, table, self.window),
            scale=self.scale,
            dropout=self.attn_drop if self.training else 0.0,
        )
        return F.dropout(self.proj(attended_BHWC.flatten(1, 2)), self.proj_drop, self.training)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Published checkpoints carry the index that `relative_bias` needs none of, 306 MiB in a large model.
        state_dict.pop(prefix + "relative_position_index", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


class BEiTBlock(nn.Module):
    """x + gamma_1 * attention(norm1(x)), then x + gamma_2 * mlp(norm2(x)), both under stochastic depth.

    Args:
        dim: channels.
        attn: the attention.
        mlp_ratio: hidden channels over `dim`.
        init_values: layer scale at the start; None for no layer scale.
        drop: dropout after the feed-forward network.
        drop_path: rate of the stochastic depth.
    """

    def __init__(
        self,
        dim: int,
        attn: BEiTAttention,
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
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=drop)
        self.residual = Residual(drop_path)
        self.gamma_1, self.gamma_2 = new_gamma(dim, init_values), new_gamma(dim, init_values)

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape."""
        tokens_BNC = self.residual(tokens_BNC, self.attn(self.norm1(tokens_BNC), size), self.gamma_1)
        fed_BNC: Tensor = self.residual(tokens_BNC, self.mlp(self.norm2(tokens_BNC)), self.gamma_2)
        return fed_BNC


class BEiT(Body):
    """The body of `BEiTAdapter`; not registered, mmseg has a class of this name.

    Args:
        img_size: side the absolute positions are made for, pixels.
        patch_size: 16.
        in_chans: image channels.
        embed_dim: token channels.
        depth: blocks.
        num_heads: of the self-attention.
        mlp_ratio: hidden over token channels of the feed-forward networks.
        qkv_bias: learnt biases of queries and values (none for keys).
        qk_scale: of the logits; the inverse root of a head's width by default.
        drop_rate: dropout of tokens and outputs.
        attn_drop_rate: dropout of attention probabilities.
        drop_path_rate: stochastic depth of the last block, growing linearly from 0.
        init_values: layer scale at the start; None for no layer scale.
        use_abs_pos_emb: learnt absolute positions.
        use_rel_pos_bias: only True; every block owns a table.
        window_attn: attention in windows, for all blocks or one flag a block. Blocks without need a map of
            exactly `window_size`; the published networks window every block and use 56 for the "global" ones.
        window_size: tokens, for all blocks or one a block.
        with_cp: recompute activations in the backward pass.
        init_cfg: mmcv's.

    Raises:
        ValueError: sizes that do not fit each other, lists that are not one entry a block.
    """

    def __init__(
        self,
        *,
        img_size: int = 512,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        init_values: float | None = None,
        use_abs_pos_emb: bool = False,
        use_rel_pos_bias: bool = True,
        window_attn: bool | Sequence[bool] = False,
        window_size: int | Sequence[int] = 14,
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
        if not use_rel_pos_bias:
            raise ValueError(
                "use_rel_pos_bias=False: every BEiT block owns a relative position table; drop the word"
            )
        windowed = per_block(window_attn, depth, "window_attn")
        windows = per_block(window_size, depth, "window_size")
        rates = drop_path_rates(drop_path_rate, depth)
        self.patch_embed = PatchEmbedding(patch_size, in_chans, embed_dim)
        self.grid = (img_size // patch_size, img_size // patch_size)
        # The first entry is the class token's, which detectors don't use.
        positions = torch.zeros(1, self.grid[0] * self.grid[1] + 1, embed_dim)
        self.pos_embed = nn.Parameter(positions) if use_abs_pos_emb else None
        self.drop_rate = drop_rate
        self.blocks = nn.ModuleList(
            BEiTBlock(
                embed_dim,
                BEiTAttention(
                    embed_dim,
                    num_heads,
                    windows[block],
                    windowed=windowed[block],
                    qkv_bias=qkv_bias,
                    qk_scale=qk_scale,
                    attn_drop=attn_drop_rate,
                    proj_drop=drop_rate,
                ),
                mlp_ratio=mlp_ratio,
                init_values=init_values,
                drop=drop_rate,
                drop_path=rates[block],
            )
            for block in range(depth)
        )
        init_linear_and_norm(self)
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    @property
    def stack(self) -> nn.ModuleList:
        """The blocks."""
        return self.blocks

    def embed_tokens(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        """An image of whole patches -> tokens (B, H * W, C) and (H, W)."""
        tokens_BNC, size = self.patch_embed(image_NCHW)
        if self.pos_embed is not None:
            tokens_BNC = tokens_BNC + resize_positions(self.pos_embed[:, 1:], self.grid, size)
        return F.dropout(tokens_BNC, self.drop_rate, self.training), size
