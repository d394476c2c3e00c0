"""The parts of a Swin transformer, under the parameter names of the published checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cbnetv2.windows import WindowLayout, relative_position_bias, with_filler

Norm = Callable[[int], nn.Module]


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch for some samples of a batch (arXiv 1603.09382).

    Survivors are scaled so that the expectation stays; nothing happens in evaluation.

    Args:
        rate: probability of dropping, in [0, 1).

    Raises:
        ValueError: another rate.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the drop path rate is {rate}; it must be at least 0 and below 1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> the same shape."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        """The rate, for printing the network."""
        return f"rate={self.rate:.3g}"


class Mlp(nn.Module):
    """Two linear layers with GELU between.

    Args:
        channels: in and out.
        hidden: width between.
        drop: dropout after each layer.
    """

    def __init__(self, channels: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) -> the same shape."""
        out: Tensor = self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))
        return out


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with relative position bias.

    Args:
        channels: in and out.
        heads: must divide the channels.
        window: side in tokens.
        qkv_bias: whether queries, keys and values have one.
        qk_scale: of the logits; one over the root of the head's width by default.
        attn_drop: dropout of the attention weights.
        drop: dropout of the result.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: int,
        *,
        qkv_bias: bool,
        qk_scale: float | None,
        attn_drop: float,
        drop: float,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.scale = qk_scale
        self.attn_drop = attn_drop
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(drop)

    def forward(self, x_BHWC: Tensor, layout: WindowLayout) -> Tensor:
        """Attend.

        Args:
            x_BHWC: tokens.
            layout: of maps of this size, with this window.

        Returns:
            The shape of `x_BHWC`.
        """
        channels = x_BHWC.shape[-1]
        # The row of zeros becomes the bias, which is what padded tokens have for query, key and value.
        rows = self.qkv(with_filler(x_BHWC.reshape(-1, channels), layout))
        slots = layout.split(rows).view(-1, self.window**2, 3, self.heads, channels // self.heads)
        q, k, v = slots.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self._bias(layout, q),
            dropout_p=self.attn_drop if self.training else 0.0,
            scale=self.scale,
        )
        joined = layout.join(attended.transpose(1, 2).reshape(-1, channels))
        out: Tensor = self.proj_drop(self.proj(joined))
        return out.view_as(x_BHWC)

    def _bias(self, layout: WindowLayout, q: Tensor) -> Tensor:
        """What to add to the logits, (1 or all windows, heads, window**2, window**2)."""
        bias = relative_position_bias(self.relative_position_bias_table, self.window).to(q.dtype)[None]
        if layout.mask is None:
            return bias
        masked = bias + layout.mask.to(q.dtype)[:, None]
        images = len(q) // len(masked)
        return masked if images == 1 else masked.expand(images, *masked.shape).flatten(0, 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Drop the index that published checkpoints store; `relative_position_bias` has no use for it."""
        state_dict.pop(f"{prefix}relative_position_index", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class SwinBlock(nn.Module):
    """Window attention and MLP, each behind a LayerNorm and beside a residual.

    Args:
        attention: of the windows.
        shift: of the windows in tokens; 0 for none.
        hidden: width of the MLP.
        norm: makes the two normalisations.
        drop: dropout in the MLP.
        drop_path: rate of `DropPath`.
    """

    def __init__(
        self,
        attention: WindowAttention,
        *,
        shift: int,
        hidden: int,
        norm: Norm,
        drop: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        channels = attention.proj.out_features
        self.shift = shift
        self.norm1 = norm(channels)
        self.attn = attention
        self.norm2 = norm(channels)
        self.mlp = Mlp(channels, hidden, drop)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BHWC: Tensor, layout: WindowLayout) -> Tensor:
        """Maps of any size -> the same shape.

        Args:
            x_BHWC: tokens.
            layout: of maps of this size, shifted by `shift`.
        """
        x_BHWC = x_BHWC + self.drop_path(self.attn(self.norm1(x_BHWC), layout))
        out: Tensor = x_BHWC + self.drop_path(self.mlp(self.norm2(x_BHWC)))
        return out


class PatchMerging(nn.Module):
    """Halve the map: four neighbours become one token of twice the channels.

    Args:
        channels: in.
        norm: makes the normalisation of the four neighbours' channels.
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.norm = norm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2C)."""
        batch, height, width, channels = x_BHWC.shape
        if height % 2 or width % 2:
            x_BHWC = F.pad(x_BHWC, (0, 0, 0, width % 2, 0, height % 2))
            height, width = x_BHWC.shape[1:3]
        pairs = x_BHWC.view(batch, height // 2, 2, width // 2, 2, channels)
        # Published order of the neighbours: down first, then right.
        neighbours = pairs.permute(0, 1, 3, 4, 2, 5).reshape(batch, height // 2, width // 2, 4 * channels)
        merged: Tensor = self.reduction(self.norm(neighbours))
        return merged


class PatchEmbed(nn.Module):
    """One token for each patch of the image.

    Args:
        in_chans: of the image.
        channels: of a token.
        patch: side in pixels.
        norm: makes the normalisation of the tokens; None for none.
    """

    def __init__(self, in_chans: int, channels: int, patch: int, norm: Norm | None) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, channels, patch, patch)
        self.norm = nn.Identity() if norm is None else norm(channels)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, in_chans, h, w) -> (N, ceil(h / patch), ceil(w / patch), channels)."""
        if x_NCHW.ndim != 4 or x_NCHW.shape[1] != self.proj.in_channels:
            raise ValueError(
                f"images of shape {tuple(x_NCHW.shape)} do not fit: (N, {self.proj.in_channels}, height, "
                "width) is needed; convert them or build the network with other in_chans"
            )
        patch = self.proj.stride[0]
        height, width = x_NCHW.shape[2:]
        rows, columns = -height % patch, -width % patch
        if rows or columns:
            x_NCHW = F.pad(x_NCHW, (0, columns, 0, rows))
        tokens: Tensor = self.norm(self.proj(x_NCHW).permute(0, 2, 3, 1))
        return tokens.contiguous()
