"""What every transformer body has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from mmcv.runner import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Size, head_width, per_block, run

STRIDES = (4, 8, 16, 32)


class Body(BaseModule):  # type: ignore[misc]  # mmcv has no types
    """A stack of transformer blocks over a stride-16 token map.

    Weights are initialised by the constructor. mmdet's `init_weights()` therefore finds nothing left to do,
    unless an `init_cfg` asks for it.

    Args:
        img_size: side that position tables are made for, pixels; they are resized to every other size.
        patch_size: 16; the strides of the maps hang on it.
        in_chans: image channels.
        embed_dim: token channels C.
        depth: blocks.
        num_heads: of the self-attention.
        mlp_ratio: hidden over token channels of the feed-forward networks.
        drop_path_rate: stochastic depth of the last block, growing linearly from 0.
        window_attn: attention in windows, for all blocks or one flag a block.
        window_size: tokens, for all blocks or one a block; not read (None) where attention is global.
        with_cp: recompute activations in the backward pass, block by block.
        init_cfg: mmcv's.

    Raises:
        ValueError: a patch size other than 16, heads that do not divide the channels, lists that are not one
            entry a block, a windowed block without a size.
    """

    norm_eps: ClassVar[float] = 1e-6
    """Of the layer norms, the adapter's included."""

    def __init__(
        self,
        *,
        img_size: int = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        window_attn: bool | Sequence[bool] = False,
        window_size: int | Sequence[int | None] | None = 14,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if patch_size != 16:
            raise ValueError(
                f"patch size {patch_size}: these backbones are built on 16-pixel patches; resize the kernel"
            )
        if depth < 1:
            raise ValueError(f"a body of {depth} blocks; depth must be at least 1")
        head_width(embed_dim, num_heads, type(self).__name__)
        self.grid = (img_size // patch_size, img_size // patch_size)
        self.in_chans, self.patch_size = in_chans, patch_size
        self.embed_dim, self.depth, self.num_heads, self.mlp_ratio = embed_dim, depth, num_heads, mlp_ratio
        self.drop_path_rate, self.with_cp = drop_path_rate, with_cp
        self.windowed = per_block(window_attn, depth, "window_attn")
        self.window_sizes = per_block(window_size, depth, "window_size")
        for block, (windowed, size) in enumerate(zip(self.windowed, self.window_sizes, strict=True)):
            if windowed and (size is None or size < 1):
                raise ValueError(
                    f"block {block} attends in windows, but its window_size is {size}; give its side"
                )

    def block_words(self) -> Iterator[tuple[int | None, float]]:
        """Each block's window (None for attention over the whole map) and rate of stochastic depth."""
        for block, (windowed, size) in enumerate(zip(self.windowed, self.window_sizes, strict=True)):
            yield size if windowed else None, self.drop_path_rate * block / max(self.depth - 1, 1)

    @property
    @abstractmethod
    def stack(self) -> nn.ModuleList:
        """The blocks, under whatever name the checkpoints know them."""

    @abstractmethod
    def embed_tokens(self, image_NCHW: Tensor) -> tuple[Tensor, Size]:
        """An image of whole patches -> tokens (B, H * W, C) with their positions, and (H, W)."""

    def run_blocks(self, tokens_BNC: Tensor, size: Size, first: int, last: int) -> Tensor:
        """Tokens through blocks `first` to `last`, both included."""
        for block in self.stack[first : last + 1]:
            tokens_BNC = run(block, tokens_BNC, size, recompute=self.with_cp)
        return tokens_BNC

    def padded(self, image_NCHW: Tensor) -> Tensor:
        """The image with zeros at the bottom and right, up to multiples of 32.

        Raises:
            ValueError: no (B, in_chans, h, w) image.
        """
        if image_NCHW.ndim != 4 or image_NCHW.shape[1] != self.in_chans or 0 in image_NCHW.shape:
            raise ValueError(
                f"{type(self).__name__} takes images of shape (batch, {self.in_chans}, height, width),"
                f" not {tuple(image_NCHW.shape)}"
            )
        below, right = (-side % STRIDES[-1] for side in image_NCHW.shape[2:])
        return F.pad(image_NCHW, (0, right, 0, below)) if below or right else image_NCHW

    def load_pretrained(self, pretrained: str | None) -> None:
        """Load and convert a published backbone checkpoint; None does nothing."""
        if pretrained is not None:
            from .pretrained import load_pretrained  # files and converters, for who starts from one

            load_pretrained(self, pretrained)


def cropped(maps_NCHW: list[Tensor], size: Size) -> list[Tensor]:
    """Maps of strides 4 to 32 without what came from padding: ceil(side / stride) rows and columns stay."""
    return [
        level[:, :, : -(-size[0] // stride), : -(-size[1] // stride)].contiguous()
        for level, stride in zip(maps_NCHW, STRIDES, strict=True)
    ]
