"""Small layers that every body and the adapter share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Size = tuple[int, int]
T = TypeVar("T")


class Residual(nn.Module):
    """A branch added to its trunk, under stochastic depth and, if there is one, a layer scale.

    Args:
        drop_path: probability that a sample's branch is left out in training; the others are scaled up.

    Raises:
        ValueError: a rate outside [0, 1).
    """

    def __init__(self, drop_path: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= drop_path < 1.0:
            raise ValueError(f"drop path rate {drop_path} is outside [0, 1)")
        self.rate = drop_path

    def forward(self, trunk: Tensor, branch: Tensor, gamma: Tensor | None = None) -> Tensor:
        """Trunk + gamma * branch, the branch as it is in evaluation.

        Args:
            trunk: (B, ...).
            branch: the same shape.
            gamma: layer scale, a value for each of the last axis; None for 1.
        """
        if self.training and self.rate > 0.0:
            kept = branch.new_empty((len(branch),) + (1,) * (branch.ndim - 1)).bernoulli_(1.0 - self.rate)
            branch = branch * kept.div_(1.0 - self.rate)
        return trunk + branch if gamma is None else torch.addcmul(trunk, gamma, branch)

    def extra_repr(self) -> str:
        """The rate, for `print(model)`."""
        return f"drop_path={self.rate}"


def new_gamma(dim: int, start: float | None) -> nn.Parameter | None:
    """A learnt factor for each channel; None without a start value."""
    return None if start is None else nn.Parameter(torch.full((dim,), float(start)))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them.

    Args:
        dim: channels in and out.
        hidden: channels between.
        drop: dropout after the second layer.
        hidden_drop: dropout after the activation; BEiT has none.
    """

    def __init__(self, dim: int, hidden: int, *, drop: float = 0.0, hidden_drop: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = drop
        self.hidden_drop = hidden_drop

    def forward(self, tokens_BNC: Tensor) -> Tensor:
        """(B, N, C) -> the same shape."""
        hidden = F.dropout(F.gelu(self.fc1(tokens_BNC)), self.hidden_drop, self.training)
        return F.dropout(self.fc2(hidden), self.drop, self.training)


class Block(nn.Module):
    """x + gamma * attention(norm1(x)), then x + gamma * mlp(norm2(x)), both under stochastic depth.

    Args:
        dim: channels.
        attn: called with tokens and their map's size.
        mlp: called with tokens.
        drop_path: rate of the stochastic depth.
        init_values: layer scale at the start; None for no layer scale.
        gammas: what the checkpoints call the two layer scales.
    """

    def __init__(
        self,
        dim: int,
        attn: nn.Module,
        mlp: Mlp,
        *,
        drop_path: float,
        init_values: float | None,
        gammas: tuple[str, str],
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = mlp
        self.residual = Residual(drop_path)
        self.gammas = gammas
        for name in gammas:
            self.register_parameter(name, new_gamma(dim, init_values))

    def forward(self, tokens_BNC: Tensor, size: Size) -> Tensor:
        """(B, H * W, C) tokens of a map of size (H, W) -> the same shape."""
        gamma_1, gamma_2 = (getattr(self, name) for name in self.gammas)
        tokens_BNC = self.residual(tokens_BNC, self.attn(self.norm1(tokens_BNC), size), gamma_1)
        fed_BNC: Tensor = self.residual(tokens_BNC, self.mlp(self.norm2(tokens_BNC)), gamma_2)
        return fed_BNC


class PatchEmbedding(nn.Module):
    """Non-overlapping patches, each projected to a token.

    Args:
        patch_size: side of a patch, pixels.
        in_chans: image channels.
        embed_dim: token channels.
    """

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        """(B, in_chans, h, w) -> tokens (B, H * W, C) and (H, W)."""
        patches_NCHW = self.proj(image_NCHW)
        return patches_NCHW.flatten(2).transpose(1, 2), (patches_NCHW.shape[2], patches_NCHW.shape[3])


def as_map(tokens_BNC: Tensor, size: Size) -> Tensor:
    """Tokens as a map in memory order: (B, H * W, C) -> (B, C, H, W).

    A copy on purpose. As a view, a batch of one has strides that torch takes for two memory formats at once
    (on a CPU, batch norm of torch 2.11 then returns wrong gradients), and mmcv's compiled operators read maps
    in memory order whatever their strides.
    """
    return torch.unflatten(tokens_BNC.transpose(1, 2).contiguous(), 2, size)


def resize_positions(positions_1NC: Tensor, grid: Size, size: Size) -> Tensor:
    """A position table of a `grid` of patches, resized bicubically to another one.

    Args:
        positions_1NC: (1, grid height * grid width, C).
        grid: rows and columns the table was made for.
        size: rows and columns wanted.

    Returns:
        (1, rows * columns, C).
    """
    if grid == size:
        return positions_1NC
    resized = F.interpolate(as_map(positions_1NC, grid), size=size, mode="bicubic", align_corners=False)
    return resized.flatten(2).transpose(1, 2)


def init_linear_and_norm(module: nn.Module) -> None:
    """Transformer initialisation: truncated normal 0.02 for linear weights, 1 and 0 for LayerNorms."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def run(function: Callable[..., T], *arguments: Any, recompute: bool) -> T:
    """Call `function`; with `recompute` its activations are computed again in the backward pass, not kept."""
    if recompute and torch.is_grad_enabled():
        result: T = checkpoint(function, *arguments, use_reentrant=False)
        return result
    return function(*arguments)


def head_width(dim: int, heads: int, what: str) -> int:
    """Channels of a head.

    Raises:
        ValueError: heads that do not divide the channels.
    """
    if heads <= 0 or dim % heads:
        raise ValueError(
            f"{what}: {dim} channels cannot be split over {heads} heads; make one divide the other"
        )
    return dim // heads


def per_block(value: T | Sequence[T], depth: int, word: str) -> list[T]:
    """One value a block, from one value for all or a list of them.

    Raises:
        ValueError: a list of another length than `depth`.
    """
    if isinstance(value, (list, tuple)):
        if len(value) != depth:
            raise ValueError(
                f"{word} has {len(value)} entries for {depth} blocks; give one a block, or one value"
            )
        return list(value)
    return [value] * depth  # type: ignore[list-item]  # only lists and tuples count as sequences here
