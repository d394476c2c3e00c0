"""The parts of a Swin transformer, under the parameter names of the published checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cbnetv2.windows import join, partition, relative_position_bias

Norm = Callable[[int], nn.Module]


def pad_to_multiple(x_BHWC: Tensor, step: int) -> Tensor:
    """Zeros at the right and bottom until height and width are multiples of `step`."""
    height, width = x_BHWC.shape[1:3]
    rows, columns = -height % step, -width % step
    return F.pad(x_BHWC, (0, 0, 0, columns, 0, rows)) if rows or columns else x_BHWC


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

    def forward(self, x_WNC: Tensor, mask_WNN: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x_WNC: (images * windows, window**2, channels), image by image.
            mask_WNN: added to the logits, the same for every image and head; None for no mask.

        Returns:
            The shape of `x_WNC`.
        """
        number, tokens, channels = x_WNC.shape
        qkv = self.qkv(x_WNC).view(number, tokens, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        bias = relative_position_bias(self.relative_position_bias_table, self.window).to(q.dtype)[None]
        if mask_WNN is not None:
            bias = bias + mask_WNN.to(q.dtype)[:, None]
            images = number // mask_WNN.shape[0]
            if images > 1:
                bias = bias.expand(images, *bias.shape).flatten(0, 1)
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=bias,
            dropout_p=self.attn_drop if self.training else 0.0,
            scale=self.scale,
        )
        merged_WNC = attended.transpose(1, 2).reshape(number, tokens, channels)
        out: Tensor = self.proj_drop(self.proj(merged_WNC))
        return out

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

    def forward(self, x_BHWC: Tensor, mask_WNN: Tensor | None = None) -> Tensor:
        """Maps of any size -> the same shape.

        Args:
            x_BHWC: tokens.
            mask_WNN: of shifted windows, for the size padded to whole windows; ignored without a shift.
        """
        x_BHWC = x_BHWC + self.drop_path(self._attend(self.norm1(x_BHWC), mask_WNN))
        out: Tensor = x_BHWC + self.drop_path(self.mlp(self.norm2(x_BHWC)))
        return out

    def _attend(self, x_BHWC: Tensor, mask_WNN: Tensor | None) -> Tensor:
        height, width = x_BHWC.shape[1:3]
        window, shift = self.attn.window, self.shift
        padded = pad_to_multiple(x_BHWC, window)
        size = padded.shape[1:3]
        if shift:
            padded = padded.roll((-shift, -shift), (1, 2))
        attended = self.attn(partition(padded, window), mask_WNN if shift else None)
        joined = join(attended, window, *size)
        if shift:
            joined = joined.roll((shift, shift), (1, 2))
        return joined[:, :height, :width]


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
        padded = pad_to_multiple(x_BHWC, 2)
        batch, height, width, channels = padded.shape
        pairs = padded.view(batch, height // 2, 2, width // 2, 2, channels)
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
