"""Windows of a feature map: which token goes where, which may see which, and relative position bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_FORBIDDEN = -100.0
"""What Swin adds to the logit of a pair that must not attend: exp(-100) is nothing beside exp(0)."""

_KEPT_SIZES = 8
"""Layouts one stage keeps: plain and shifted, for a few sizes. A mask can take 30 MB, and multi-scale
training draws a size a step."""


@dataclass(frozen=True, eq=False)
class WindowLayout:
    """How the tokens of maps of one size fall into windows.

    Maps are padded at the right and bottom to whole windows, then rolled up and left by the shift. Both are
    one reordering of rows here, so that no layer ever computes a padded token.

    Attributes:
        tokens: real ones, of all images together.
        slots: (slots,): the token in each slot of each window, image by image; `tokens` stands for padding.
        places: (tokens,): the slot of each token.
        pads: (slots - tokens,): the slots of padding.
        mask: (windows of one image, window**2, window**2), what to add to the logits of attention; None
            without a shift.
    """

    tokens: int
    slots: Tensor
    places: Tensor
    pads: Tensor
    mask: Tensor | None

    @classmethod
    def of(
        cls, batch: int, height: int, width: int, *, window: int, shift: int, device: torch.device
    ) -> WindowLayout:
        """Lay out `batch` maps.

        Args:
            batch: number of maps.
            height: in tokens.
            width: in tokens.
            window: side of a window in tokens.
            shift: of the windows, below their side.
            device: of the tables.
        """
        area, tokens = height * width, batch * height * width
        rows, columns = height + -height % window, width + -width % window
        grid_HW = torch.full((rows, columns), -1, device=device)
        grid_HW[:height, :width] = torch.arange(area, device=device).view(height, width)
        in_image = _cut(grid_HW.roll((-shift, -shift), (0, 1)), window).flatten()
        in_batch = in_image + area * torch.arange(batch, device=device)[:, None]
        slots = in_batch.masked_fill(in_image < 0, tokens).flatten()
        # Padding counts as the last token, so sorting also sorts it out.
        order = slots.argsort(stable=True)
        mask_WNN = None
        if shift:
            regions = [_regions(length, window, shift, device) for length in (rows, columns)]
            region_WN = _cut(3 * regions[0][:, None] + regions[1], window)
            mask_WNN = _FORBIDDEN * (region_WN[:, :, None] != region_WN[:, None, :]).float()
        return cls(tokens, slots, order[:tokens], order[tokens:], mask_WNN)

    @property
    def padded(self) -> bool:
        """Whether there are slots without a token."""
        return len(self.pads) > 0

    def split(self, x_RC: Tensor) -> Tensor:
        """Rows of tokens -> rows of slots.

        Args:
            x_RC: a row for each token, and behind them, if there is padding, one to fill it with.
        """
        rows: Tensor = _Split.apply(x_RC, self)  # type: ignore[no-untyped-call]  # torch
        return rows

    def join(self, x_RC: Tensor) -> Tensor:
        """Rows of slots -> rows of tokens, padding left out."""
        rows: Tensor = _Join.apply(x_RC, self)  # type: ignore[no-untyped-call]  # torch
        return rows


class _Split(torch.autograd.Function):
    """Reading rows by index; its gradient reads rows too, where torch's own would add up scattered ones."""

    @staticmethod
    def forward(ctx: Any, x_RC: Tensor, layout: WindowLayout) -> Tensor:
        ctx.layout = layout
        return x_RC.index_select(0, layout.slots)

    @staticmethod
    def backward(ctx: Any, grad_RC: Tensor) -> tuple[Tensor, None]:
        layout: WindowLayout = ctx.layout
        at_tokens = grad_RC.index_select(0, layout.places)
        if not layout.padded:
            return at_tokens, None
        at_filler = grad_RC.index_select(0, layout.pads).sum(0, keepdim=True)
        return torch.cat([at_tokens, at_filler]), None


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_RC: Tensor, layout: WindowLayout) -> Tensor:
        ctx.layout = layout
        return x_RC.index_select(0, layout.places)

    @staticmethod
    def backward(ctx: Any, grad_RC: Tensor) -> tuple[Tensor, None]:
        layout: WindowLayout = ctx.layout
        return with_filler(grad_RC, layout).index_select(0, layout.slots), None


def with_filler(x_RC: Tensor, layout: WindowLayout) -> Tensor:
    """The rows of tokens, followed by a row of zeros where the layout has padding."""
    return torch.cat([x_RC, x_RC.new_zeros(1, x_RC.shape[1])]) if layout.padded else x_RC


class LayoutCache:
    """The layouts of the sizes seen last.

    A plain object rather than buffers: what it holds follows from sizes alone, so it belongs neither in a
    state dict nor in a copy.

    Args:
        window: side of a window in tokens.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._layouts: dict[tuple[int, int, int, int, torch.device], WindowLayout] = {}

    def __reduce__(self) -> tuple[type[LayoutCache], tuple[int]]:
        return (LayoutCache, (self._window,))

    def layout(self, x_BHWC: Tensor, shift: int) -> WindowLayout:
        """The layout for maps of this size, with windows shifted by `shift` tokens."""
        batch, height, width = x_BHWC.shape[:3]
        key = (batch, height, width, shift, x_BHWC.device)
        known = self._layouts.get(key)
        if known is None:
            if len(self._layouts) >= _KEPT_SIZES:
                self._layouts.pop(next(iter(self._layouts)))
            # An inference tensor would be refused by a later training step.
            with torch.inference_mode(mode=False), torch.no_grad():
                known = WindowLayout.of(
                    batch, height, width, window=self._window, shift=shift, device=x_BHWC.device
                )
            self._layouts[key] = known
        return known


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


def _cut(map_HW: Tensor, window: int) -> Tensor:
    """(windows, window**2), windows and their tokens in reading order."""
    height, width = map_HW.shape
    grid = map_HW.view(height // window, window, width // window, window)
    return grid.transpose(1, 2).reshape(-1, window * window)


def _regions(length: int, window: int, shift: int, device: torch.device) -> Tensor:
    """0 before the last window, 1 in the part of it that stayed, 2 in the part that came round."""
    place = torch.arange(length, device=device)
    return (place >= length - window).long() + (place >= length - shift).long()
