"""Windows of a feature map: cutting, joining, the masks of shifted windows, relative position bias."""

from __future__ import annotations

import torch
from torch import Tensor

_FORBIDDEN = -100.0
"""What Swin adds to the logit of a pair that must not attend: exp(-100) is nothing beside exp(0)."""

_KEPT_SIZES = 4
"""Masks kept by one stage. Multi-scale training draws a size a step, and a mask can take 30 MB."""


def partition(x_BHWC: Tensor, window: int) -> Tensor:
    """Cut maps into square windows.

    Args:
        x_BHWC: height and width are multiples of the window.
        window: side in tokens.

    Returns:
        (B * windows, window**2, C): image by image, windows and their tokens in reading order.
    """
    batch, height, width, channels = x_BHWC.shape
    grid = x_BHWC.view(batch, height // window, window, width // window, window, channels)
    return grid.transpose(2, 3).reshape(-1, window * window, channels)


def join(x_WNC: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put windows back where `partition` took them.

    Args:
        x_WNC: (B * windows, window**2, C).
        window: side in tokens.
        height: of the map, a multiple of the window.
        width: of the map, a multiple of the window.

    Returns:
        (B, height, width, C).
    """
    channels = x_WNC.shape[-1]
    grid = x_WNC.view(-1, height // window, width // window, window, window, channels)
    return grid.transpose(2, 3).reshape(-1, height, width, channels)


def relative_position_bias(table: Tensor, window: int) -> Tensor:
    """Spread a table of learned offsets over all pairs of a window's tokens.

    Pair (i, j) at (yi, xi) and (yj, xj) takes row (yi - yj + w - 1) * (2w - 1) + (xi - xj + w - 1) (Swin
    Transformer, arXiv 2103.14030, section 3.2). Sliding views over the table replace the stored index of
    the published code: no buffer to save or to lose, and a backward pass without scattered additions.

    Args:
        table: ((2w - 1)**2, heads).
        window: w.

    Returns:
        (heads, w * w, w * w).
    """
    side = 2 * window - 1
    heads = table.shape[1]
    # [yi, xi, head, t, u] reads offset row yi + t, so t = w - 1 - yj: the last two axes run backwards.
    slid = table.view(side, side, heads).unfold(0, window, 1).unfold(1, window, 1)
    return slid.flip(3, 4).permute(2, 0, 1, 3, 4).reshape(heads, window * window, window * window)


class ShiftMasks:
    """Additive masks of shifted windows, built once for each map size.

    After the cyclic shift the windows at the right and bottom border hold tokens from opposite sides of the
    map; only tokens of one side may attend to each other.

    A plain object rather than buffers: what it holds follows from sizes alone, so it belongs neither in a
    state dict nor in a copy.

    Args:
        window: side in tokens.
        shift: of the windows, in tokens.
    """

    def __init__(self, window: int, shift: int) -> None:
        self._window = window
        self._shift = shift
        self._masks: dict[tuple[int, int, torch.device, torch.dtype], Tensor] = {}

    def __reduce__(self) -> tuple[type[ShiftMasks], tuple[int, int]]:
        return (ShiftMasks, (self._window, self._shift))

    def mask(self, height: int, width: int, like: Tensor) -> Tensor:
        """The mask for one map size.

        Args:
            height: of the padded map.
            width: of the padded map.
            like: gives device and floating-point type.

        Returns:
            (windows, window**2, window**2): 0 where attention is allowed, else -100.
        """
        key = (height, width, like.device, like.dtype)
        known = self._masks.get(key)
        if known is None:
            if len(self._masks) >= _KEPT_SIZES:
                self._masks.pop(next(iter(self._masks)))
            # An inference tensor would be refused by a later training step.
            with torch.inference_mode(mode=False), torch.no_grad():
                known = self._build(height, width, like.device).to(like.dtype)
            self._masks[key] = known
        return known

    def _build(self, height: int, width: int, device: torch.device) -> Tensor:
        rows, columns = (self._regions(length, device) for length in (height, width))
        region_BHWC = (3 * rows[:, None] + columns[None, :])[None, :, :, None]
        region_WN = partition(region_BHWC, self._window).squeeze(-1)
        return _FORBIDDEN * (region_WN[:, :, None] != region_WN[:, None, :]).float()

    def _regions(self, length: int, device: torch.device) -> Tensor:
        """0 before the last window, 1 in the part of it that stayed, 2 in the part that came round."""
        place = torch.arange(length, device=device)
        return (place >= length - self._window).long() + (place >= length - self._shift).long()
