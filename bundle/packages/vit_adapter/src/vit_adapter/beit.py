"""BEiT as detectors use it: windows everywhere, a relative position table in every block."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .body import Body
from .layers import Block, Mlp, PatchEmbedding, Size, head_width, init_linear_and_norm, resize_positions
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


class BEiT(Body):
    """The body of `BEiTAdapter`; not registered, mmseg has a class of this name.

    Blocks without windows need a map of exactly `window_size`: the published networks window every block and
    give the "global" ones windows of 56.

    Args:
        img_size: side the absolute positions are made for, pixels.
        qkv_bias: learnt biases of queries and values (none for keys).
        qk_scale: of the logits; the inverse root of a head's width by default.
        drop_rate: dropout of tokens and outputs.
        attn_drop_rate: dropout of attention probabilities.
        init_values: layer scale at the start; None for no layer scale.
        use_abs_pos_emb: learnt absolute positions.
        use_rel_pos_bias: only True; every block owns a table.
        common: of `Body`; every block has a `window_size`.

    Raises:
        ValueError: as `Body`, and for a block without a window size.
    """

    def __init__(
        self,
        *,
        img_size: int = 512,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        init_values: float | None = None,
        use_abs_pos_emb: bool = False,
        use_rel_pos_bias: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(img_size=img_size, **common)
        if not use_rel_pos_bias:
            raise ValueError(
                "use_rel_pos_bias=False: every BEiT block owns a relative position table; drop the word"
            )
        windows = [size for size in self.window_sizes if size is not None]
        if len(windows) < self.depth:
            raise ValueError(
                f"window_size {self.window_sizes}: every BEiT block has a position table for its window;"
                " give 56 instead of None to attend over (almost) the whole map"
            )
        dim = self.embed_dim
        self.patch_embed = PatchEmbedding(self.patch_size, self.in_chans, dim)
        # Unlike ViT's, the published table has no entry of a class token.
        positions = torch.zeros(1, self.grid[0] * self.grid[1], dim)
        self.pos_embed = nn.Parameter(positions) if use_abs_pos_emb else None
        self.drop_rate = drop_rate

        def attention(block: int) -> BEiTAttention:
            return BEiTAttention(
                dim,
                self.num_heads,
                windows[block],
                windowed=self.windowed[block],
                qkv_bias=qkv_bias,
                qk_scale=qk_scale,
                attn_drop=attn_drop_rate,
                proj_drop=drop_rate,
            )

        self.blocks = nn.ModuleList(
            Block(
                dim,
                attention(block),
                Mlp(dim, int(dim * self.mlp_ratio), drop=drop_rate),
                drop_path=rate,
                init_values=init_values,
                gammas=("gamma_1", "gamma_2"),
            )
            for block, (_, rate) in enumerate(self.block_words())
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
            tokens_BNC = tokens_BNC + resize_positions(self.pos_embed, self.grid, size)
        return F.dropout(tokens_BNC, self.drop_rate, self.training), size
