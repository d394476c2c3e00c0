"""The backbones mmdet finds by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.models.builder import BACKBONES
from torch import Tensor, nn
from torch.nn import functional as F

from .adapter import Adapter, AdapterWords
from .beit import BEiT
from .body import cropped
from .layers import as_map
from .spatial_prior import init_convolution
from .uniperceiver import UniPerceiver
from .vit import ViT


@BACKBONES.register_module()
class BEiTAdapter(Adapter, BEiT):
    """BEiT or BEiT v2 with the adapter.

    Args:
        init_values: start of BEiT's layer scale and of the injectors' gamma: one published word for both.
        pretrain_size: not read, BEiT's positions are relative.
        pretrained: a BEiT checkpoint to start from; its tables are resized to the windows.
        words: of `BEiT` and `AdapterWords`.

    Raises:
        TypeError: a word neither knows.
        ValueError: words that do not fit each other.
    """

    def __init__(
        self,
        *,
        init_values: float | None = 0.0,
        pretrain_size: int = 224,  # noqa: ARG002  a word of the published configs
        pretrained: str | None = None,
        **words: Any,
    ) -> None:
        adapter, body = AdapterWords.taken_from({**words, "init_values": init_values or 0.0})
        super().__init__(**body, init_values=init_values)
        self.add_adapter(adapter)
        self.load_pretrained(pretrained)


@BACKBONES.register_module()
class ViTAdapter(Adapter, ViT):
    """A plain vision transformer (DeiT, AugReg, MAE, DINOv2) with the adapter.

    Args:
        img_size: side the position table is made for, pixels.
        pretrain_size: side the body was trained at, the same.
        pretrained: a checkpoint of the body to start from.
        words: of `ViT` and `AdapterWords`.

    Raises:
        TypeError: a word neither knows.
        ValueError: words that do not fit each other.
    """

    def __init__(
        self, *, img_size: int = 224, pretrain_size: int = 224, pretrained: str | None = None, **words: Any
    ) -> None:
        if img_size // 16 != pretrain_size // 16:
            raise ValueError(
                f"img_size {img_size} and pretrain_size {pretrain_size} speak of the same position table;"
                " give both the size the body was trained at"
            )
        adapter, body = AdapterWords.taken_from(words)
        super().__init__(**body, img_size=img_size)
        self.add_adapter(adapter)
        self.load_pretrained(pretrained)


@BACKBONES.register_module()
class UniPerceiverAdapter(Adapter, UniPerceiver):
    """The Uni-Perceiver encoder with the adapter.

    Args:
        pretrained: a checkpoint of the encoder to start from.
        words: of `UniPerceiver` and `AdapterWords`.

    Raises:
        TypeError: a word neither knows.
        ValueError: words that do not fit each other.
    """

    def __init__(self, *, pretrained: str | None = None, **words: Any) -> None:
        adapter, body = AdapterWords.taken_from(words)
        super().__init__(**body)
        self.add_adapter(adapter)
        self.load_pretrained(pretrained)


@BACKBONES.register_module()
class ViTBaseline(ViT):
    """A plain vision transformer with four maps and no adapter, to compare with.

    The tokens after four blocks are normalised, and resized by transposed convolutions (strides 4 and 8) or
    max pooling (stride 32).

    Args:
        out_indices: the four blocks, in order.
        pretrain_size: not read, the position table is made for `img_size`.
        pretrained: a checkpoint of the body to start from.
        words: of `ViT`.

    Raises:
        ValueError: something else than four blocks in order.
    """

    def __init__(
        self,
        *,
        out_indices: Sequence[int] = (2, 5, 8, 11),
        pretrain_size: int = 224,  # noqa: ARG002  a word of the published configs
        pretrained: str | None = None,
        **words: Any,
    ) -> None:
        super().__init__(**words)
        self.out_indices = tuple(out_indices)
        ordered = sorted(set(self.out_indices))
        if (
            len(ordered) != 4
            or tuple(ordered) != self.out_indices
            or not 0 <= ordered[0] <= ordered[3] < self.depth
        ):
            raise ValueError(
                f"out_indices {out_indices}: give four of the blocks 0 to {self.depth - 1}, in order"
            )
        dim = self.embed_dim
        for level in range(1, 5):
            self.add_module(f"norm{level}", nn.LayerNorm(dim, eps=1e-6))
        self.up1 = nn.Sequential(
            nn.ConvTranspose2d(dim, dim, 2, 2),
            nn.GroupNorm(32 if dim % 32 == 0 else 1, dim),
            nn.GELU(),
            nn.ConvTranspose2d(dim, dim, 2, 2),
        )
        self.up2 = nn.ConvTranspose2d(dim, dim, 2, 2)
        for layer in (*self.up1, self.up2):
            if isinstance(layer, nn.ConvTranspose2d):
                init_convolution(layer)
        self.load_pretrained(pretrained)

    def forward(self, image_NCHW: Tensor) -> list[Tensor]:
        """(B, in_chans, h, w) of any size -> four maps (B, C, ceil(h / s), ceil(w / s)), s = 4, 8, 16, 32."""
        tokens_BNC, size = self.embed_tokens(self.padded(image_NCHW))
        first = 0
        taken = []
        for level, last in enumerate(self.out_indices, start=1):
            tokens_BNC = self.run_blocks(tokens_BNC, size, first, last)
            normed_BNC = self.get_submodule(f"norm{level}")(tokens_BNC)
            taken.append(as_map(normed_BNC, size))
            first = last + 1
        maps_NCHW = [self.up1(taken[0]), self.up2(taken[1]), taken[2], F.max_pool2d(taken[3], 2)]
        return cropped(maps_NCHW, (image_NCHW.shape[2], image_NCHW.shape[3]))
