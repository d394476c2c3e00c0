"""What every transformer body has in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from mmcv.runner import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Size, head_width, run

STRIDES = (4, 8, 16, 32)


class Body(BaseModule):  # type: ignore[misc]  # mmcv has no types
    """A stack of transformer blocks over a stride-16 token map.

    Weights are initialised by the constructor. mmdet's `init_weights()` therefore finds nothing left to do,
    unless an `init_cfg` asks for it.

    Args:
        embed_dim: token channels C.
        depth: blocks.
        num_heads: of the self-attention.
        in_chans: image channels.
        patch_size: 16; the adapter's strides hang on it.
        drop_path_rate: of the last block; the ones before it grow linearly from 0.
        with_cp: recompute activations in the backward pass, block by block.
        init_cfg: mmcv's.

    Raises:
        ValueError: a patch size other than 16, heads that do not divide the channels.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        in_chans: int,
        patch_size: int,
        drop_path_rate: float,
        with_cp: bool,
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
        self.embed_dim, self.depth, self.num_heads, self.in_chans = embed_dim, depth, num_heads, in_chans
        self.drop_path_rate, self.with_cp = drop_path_rate, with_cp

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
