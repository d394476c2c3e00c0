"""What the transformer and the convolutional stem tell each other: injector, extractor, interaction."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .deformable import DeformableAttention
from .grids import SamplingGrid, pyramid_sizes
from .layers import Residual, Size, run


class DepthwiseConv(nn.Module):
    """One depthwise 3x3 convolution, run on each of three maps that lie one after another in a sequence.

    Args:
        dim: channels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, pyramid_BNC: Tensor, size: Size) -> Tensor:
        """(B, 21 * H * W / 4, C), maps of strides 8, 16 and 32 over a stride-16 size (H, W) -> the same."""
        sizes = pyramid_sizes(size)
        maps = torch.split(pyramid_BNC, [h * w for h, w in sizes], dim=1)
        # Tokens are a channels-last image already: both reshapes are views.
        maps_NCHW = [
            torch.unflatten(tokens, 1, map_size).permute(0, 3, 1, 2)
            for tokens, map_size in zip(maps, sizes, strict=True)
        ]
        return torch.cat([self.dwconv(level).permute(0, 2, 3, 1).flatten(1, 2) for level in maps_NCHW], dim=1)


class ConvFFN(nn.Module):
    """Feed-forward network with a depthwise convolution before its activation.

    Args:
        dim: channels in and out.
        hidden: channels between.
        drop: dropout after the activation and at the end.
    """

    def __init__(self, dim: int, hidden: int, *, drop: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = drop

    def forward(self, pyramid_BNC: Tensor, size: Size) -> Tensor:
        """(B, 21 * H * W / 4, C) over a stride-16 size (H, W) -> the same shape."""
        hidden = F.gelu(self.dwconv(self.fc1(pyramid_BNC), size))
        return F.dropout(self.fc2(F.dropout(hidden, self.drop, self.training)), self.drop, self.training)


class Injector(nn.Module):
    """Tokens look at the three maps: x + gamma * attention(norm(x), norm(c)).

    Args:
        dim: channels.
        num_heads: of the deformable attention.
        num_points: of the deformable attention.
        ratio: width of its values over `dim`.
        init_values: gamma at the start; 0 leaves a pretrained body as it was.
        eps: of the norms.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        num_points: int,
        ratio: float,
        init_values: float,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps=eps)
        self.feat_norm = nn.LayerNorm(dim, eps=eps)
        self.attn = DeformableAttention(
            dim, num_heads=num_heads, num_levels=3, num_points=num_points, ratio=ratio
        )
        self.gamma = nn.Parameter(torch.full((dim,), init_values))

    def forward(self, tokens_BNC: Tensor, pyramid_BNC: Tensor, grid: SamplingGrid) -> Tensor:
        """(B, N, C) tokens and the (B, 21N/4, C) maps -> tokens."""
        attended = self.attn(self.query_norm(tokens_BNC), self.feat_norm(pyramid_BNC), grid)
        return torch.addcmul(tokens_BNC, self.gamma, attended)


class Extractor(nn.Module):
    """The three maps look at the tokens: c + attention(norm(c), norm(x)), then c + ConvFFN(norm(c)).

    Args:
        dim: channels.
        num_heads: of the deformable attention.
        num_points: of the deformable attention.
        ratio: width of its values over `dim`.
        with_cffn: the second half.
        cffn_ratio: its hidden width over `dim`.
        drop: dropout inside it.
        drop_path: stochastic depth around it.
        eps: of the norms.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        num_points: int,
        ratio: float,
        with_cffn: bool = True,
        cffn_ratio: float = 0.25,
        drop: float = 0.0,
        drop_path: float = 0.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps=eps)
        self.feat_norm = nn.LayerNorm(dim, eps=eps)
        self.attn = DeformableAttention(
            dim, num_heads=num_heads, num_levels=1, num_points=num_points, ratio=ratio
        )
        self.with_cffn = with_cffn
        if with_cffn:
            self.ffn = ConvFFN(dim, int(dim * cffn_ratio), drop=drop)
            self.ffn_norm = nn.LayerNorm(dim, eps=eps)
            self.residual = Residual(drop_path)

    def forward(self, pyramid_BNC: Tensor, tokens_BNC: Tensor, grid: SamplingGrid, size: Size) -> Tensor:
        """(B, 21N/4, C) maps and (B, N, C) tokens of `size` -> maps."""
        attended = self.attn(self.query_norm(pyramid_BNC), self.feat_norm(tokens_BNC), grid)
        pyramid_BNC = pyramid_BNC + attended
        if self.with_cffn:
            pyramid_BNC = self.residual(pyramid_BNC, self.ffn(self.ffn_norm(pyramid_BNC), size))
        return pyramid_BNC


class Interaction(nn.Module):
    """The two directions around one span of transformer blocks.

    Args:
        injector: before the span.
        extractors: behind it, one after another; all but the first carry the published name of extras.
        with_cp: recompute activations in the backward pass.
    """

    def __init__(self, injector: Injector, extractors: list[Extractor], *, with_cp: bool = False) -> None:
        super().__init__()
        self.injector = injector
        self.extractor, *extras = extractors
        self.extra_extractors = nn.ModuleList(extras)
        self.with_cp = with_cp

    def inject(self, tokens_BNC: Tensor, pyramid_BNC: Tensor, grid: SamplingGrid) -> Tensor:
        """Tokens that have looked at the maps."""
        out_BNC: Tensor = run(self.injector, tokens_BNC, pyramid_BNC, grid, recompute=self.with_cp)
        return out_BNC

    def extract(self, pyramid_BNC: Tensor, tokens_BNC: Tensor, grid: SamplingGrid, size: Size) -> Tensor:
        """Maps that have looked at the tokens of `size`."""
        for extractor in (self.extractor, *self.extra_extractors):
            pyramid_BNC = run(extractor, pyramid_BNC, tokens_BNC, grid, size, recompute=self.with_cp)
        return pyramid_BNC
