"""Self-attention over a whole token map or inside its windows.

Windows that stick out of the map at the right and bottom are filled up by the caller (bodies differ in what
they fill in); their filling takes part as keys and values, unmasked, as in the published networks. As queries
it would be computed only to be cropped, so it is left out: border windows ask for their real tokens only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .layers import Size

BiasOf = Callable[[Size], Tensor]


def attend(qkv_BNC: Tensor, heads: int, *, scale: float | None = None, dropout: float = 0.0) -> Tensor:
    """Multi-head self-attention of all tokens.

    Args:
        qkv_BNC: (B, N, 3C), queries, keys and values one after another.
        heads: divides C.
        scale: of the logits; the inverse root of a head's width by default.
        dropout: of the attention probabilities.

    Returns:
        (B, N, C).
    """
    q, k, v = torch.unflatten(qkv_BNC, 2, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
    return out.transpose(1, 2).flatten(2)


def attend_in_windows(
    qkv_BHWC: Tensor,
    size: Size,
    window: int,
    heads: int,
    *,
    bias_of: BiasOf | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Multi-head self-attention inside square windows of a token map.

    Args:
        qkv_BHWC: (B, H, W, 3C) with H and W filled up to multiples of `window`.
        size: rows and columns of the real map at its top left.
        window: side of a window, tokens.
        heads: divides C.
        bias_of: given (rows, columns) of a window's queries, counted from its top left, what is added to
            their logits: (heads, rows * columns, window * window).
        scale: of the logits; the inverse root of a head's width by default.
        dropout: of the attention probabilities.

    Returns:
        (B, rows, columns, C) of the real map.
    """
    channels = qkv_BHWC.shape[3] // 3
    q_BHWC, kv_BHWC = torch.split(qkv_BHWC, [channels, 2 * channels], dim=3)
    bands = []
    for top, bottom, rows in _spans(size[0], window):
        parts = []
        for left, right, columns in _spans(size[1], window):
            q = _partition(q_BHWC[:, top:bottom, left:right], (rows, columns), heads)
            kv_bottom, kv_right = _up_to_multiple(bottom, window), _up_to_multiple(right, window)
            kv = _partition(kv_BHWC[:, top:kv_bottom, left:kv_right], (window, window), 2 * heads)
            k, v = kv.chunk(2, dim=1)
            bias = None if bias_of is None else bias_of((rows, columns))
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout, scale=scale)
            parts.append(_merge(out, (rows, columns), (bottom - top, right - left)))
        bands.append(_joined(parts, dim=2))
    return _joined(bands, dim=1)


def fill_windows(map_BHWC: Tensor, window: int) -> Tensor:
    """Zeros at the bottom and right, up to whole windows: (B, H, W, C) -> (B, H', W', C)."""
    _, height, width, _ = map_BHWC.shape
    below, right = -height % window, -width % window
    return F.pad(map_BHWC, (0, 0, 0, right, 0, below)) if below or right else map_BHWC


def _spans(length: int, window: int) -> list[tuple[int, int, int]]:
    """Begin, end and length of a window's real part, for the whole windows and for the cut one at the end."""
    whole = length // window * window
    spans = [(0, whole, window)] if whole else []
    return spans if whole == length else [*spans, (whole, length, length - whole)]


def _up_to_multiple(length: int, window: int) -> int:
    return length + -length % window


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _partition(map_BHWC: Tensor, window: Size, heads: int) -> Tensor:
    """(B, H, W, C) -> (B * windows, heads, tokens of a window, C / heads)."""
    rows, columns = window
    batch, height, width, _ = map_BHWC.shape
    split = map_BHWC.reshape(batch, height // rows, rows, width // columns, columns, heads, -1)
    return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, heads, rows * columns, split.shape[-1])


def _merge(windows: Tensor, window: Size, size: Size) -> Tensor:
    """The inverse of `_partition`: back to (B, *size, C)."""
    rows, columns = window
    down, across = size[0] // rows, size[1] // columns
    _, heads, _, width = windows.shape
    split = windows.view(-1, down, across, heads, rows, columns, width)
    return split.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, *size, heads * width)
