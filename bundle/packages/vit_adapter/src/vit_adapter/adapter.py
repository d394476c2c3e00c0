"""The adapter around a body: words, forward pass, initialisation. Chen et al. 2023, ViT-Adapter, figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, cast

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn
from torch.nn import functional as F

from .body import Body, cropped
from .deformable import DeformableAttention
from .grids import GridCache, pyramid_sizes
from .interaction import Extractor, Injector, Interaction
from .layers import Size, as_map, init_linear_and_norm
from .spatial_prior import SpatialPrior, init_convolution

_EXTRA_EXTRACTORS = 2


@dataclass(frozen=True, kw_only=True)
class AdapterWords:
    """Constructor words of the adapter, the same for every body.

    Attributes:
        interaction_indexes: first and last block of every interaction's span; together they cover the blocks
            in order. None makes four equal spans.
        conv_inplane: channels of the convolutional stem.
        n_points: sampled points a head and map of the deformable attention.
        deform_num_heads: its heads.
        deform_ratio: width of its values over the token channels.
        init_values: the injectors' gamma at the start.
        with_cffn: a feed-forward network with a depthwise convolution in every extractor.
        cffn_ratio: its hidden width over the token channels.
        add_vit_feature: add the resized token map to the four maps.
        use_extra_extractor: two more extractors behind the last span.
        version: "new" adds the last token map to every map; "old" adds the tokens after the k-th interaction
            to the k-th map, as the first published BEiT checkpoints do. It needs four interactions.
        norm_cfg: of the stem and the outputs, {"type": "BN"} by default; {"type": "SyncBN"} is what was
            published, and the weights of one fit the other.
    """

    interaction_indexes: Sequence[Sequence[int]] | None = None
    conv_inplane: int = 64
    n_points: int = 4
    deform_num_heads: int = 6
    deform_ratio: float = 1.0
    init_values: float = 0.0
    with_cffn: bool = True
    cffn_ratio: float = 0.25
    add_vit_feature: bool = True
    use_extra_extractor: bool = True
    version: Literal["new", "old"] = "new"
    norm_cfg: dict[str, Any] = field(default_factory=lambda: {"type": "BN"})

    def __post_init__(self) -> None:
        if self.version not in {"new", "old"}:
            raise ValueError(f"version {self.version!r}: there are 'new' and 'old'")

    @classmethod
    def taken_from(cls, words: dict[str, Any]) -> tuple[Self, dict[str, Any]]:
        """The adapter's words out of a backbone's, and the words that are left for its body."""
        own = {entry.name for entry in fields(cls)}
        mine = {name: value for name, value in words.items() if name in own}
        return cls(**mine), {name: value for name, value in words.items() if name not in own}

    def spans(self, depth: int) -> list[tuple[int, int]]:
        """First and last block of each interaction.

        Raises:
            ValueError: spans that leave blocks out, overlap, or do not suit the version.
        """
        if self.interaction_indexes is None:
            if depth % 4:
                raise ValueError(f"{depth} blocks do not make four equal spans; give interaction_indexes")
            spans = [(first, first + depth // 4 - 1) for first in range(0, depth, depth // 4)]
        else:
            spans = [(int(first), int(last)) for first, last in self.interaction_indexes]
        covered = [block for first, last in spans for block in range(first, last + 1)]
        if covered != list(range(depth)) or any(first > last for first, last in spans):
            raise ValueError(
                f"interaction_indexes {[list(span) for span in spans]} must cover blocks 0 to {depth - 1}"
                " once each and in order"
            )
        if self.version == "old" and len(spans) != 4:
            raise ValueError(
                f"version 'old' adds one token map to each of four outputs: not with {len(spans)} spans"
            )
        return spans


class Adapter(Body):
    """Mixed in before a body: four maps of strides 4, 8, 16 and 32, all with the body's channels.

    Its layers live beside the body's, where the published checkpoints have them.
    """

    def add_adapter(self, words: AdapterWords) -> None:
        """Create and initialise the adapter's layers; called once the body stands."""
        dim = self.embed_dim
        self.spans = words.spans(self.depth)
        self.add_vit_feature, self.version = words.add_vit_feature, words.version
        self.level_embed = nn.Parameter(torch.zeros(3, dim))
        self.spm = SpatialPrior(self.in_chans, words.conv_inplane, dim, words.norm_cfg)
        self.interactions = nn.ModuleList(
            self._interaction(words, last=index == len(self.spans) - 1) for index in range(len(self.spans))
        )
        self.up = nn.ConvTranspose2d(dim, dim, 2, 2)
        for level in range(1, 5):
            self.add_module(f"norm{level}", build_norm_layer(words.norm_cfg, dim)[1])
        self._grids = GridCache()
        self._init_adapter()

    def forward(self, image_NCHW: Tensor) -> list[Tensor]:
        """Maps of an image of any size.

        Args:
            image_NCHW: (B, in_chans, h, w); filled up with zeros at the bottom and right to multiples of 32.

        Returns:
            Four maps (B, C, ceil(h / s), ceil(w / s)) for the strides s of 4, 8, 16 and 32.

        Raises:
            ValueError: something else than such an image.
        """
        padded_NCHW = self.padded(image_NCHW)
        c1_NCHW, pyramid_BNC = self._prior(padded_NCHW)
        tokens_BNC, size = self.embed_tokens(padded_NCHW)
        injecting, extracting = self._grids.at(size, self.level_embed)
        added = []
        for (first, last), layer in zip(self.spans, self.interactions, strict=True):
            interaction = cast("Interaction", layer)
            tokens_BNC = interaction.inject(tokens_BNC, pyramid_BNC, injecting)
            tokens_BNC = self.run_blocks(tokens_BNC, size, first, last)
            pyramid_BNC = interaction.extract(pyramid_BNC, tokens_BNC, extracting, size)
            if self.version == "old":
                added.append(as_map(tokens_BNC, size))
        maps_NCHW = self._maps(c1_NCHW, pyramid_BNC, size)
        if self.add_vit_feature:
            sources = added if self.version == "old" else [as_map(tokens_BNC, size)] * 4
            maps_NCHW = [
                level + _resized(source, (level.shape[2], level.shape[3]))
                for level, source in zip(maps_NCHW, sources, strict=True)
            ]
        normed_NCHW = [self.get_submodule(f"norm{i}")(level) for i, level in enumerate(maps_NCHW, start=1)]
        return cropped(normed_NCHW, (image_NCHW.shape[2], image_NCHW.shape[3]))

    def _prior(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The stride-4 map, and the other three as one sequence with their level's embedding added."""
        c1_NCHW, *others_NCHW = self.spm(image_NCHW)
        levels = zip(others_NCHW, self.level_embed, strict=True)
        return c1_NCHW, torch.cat(
            [level.flatten(2).transpose(1, 2) + embed for level, embed in levels], dim=1
        )

    def _maps(self, c1_NCHW: Tensor, pyramid_BNC: Tensor, size: Size) -> list[Tensor]:
        sizes = pyramid_sizes(size)
        parts = torch.split(pyramid_BNC, [height * width for height, width in sizes], dim=1)
        c2, c3, c4 = (as_map(part, level) for part, level in zip(parts, sizes, strict=True))
        return [self.up(c2) + c1_NCHW, c2, c3, c4]

    def _interaction(self, words: AdapterWords, *, last: bool) -> Interaction:
        dim, heads, points, ratio = (
            self.embed_dim,
            words.deform_num_heads,
            words.n_points,
            words.deform_ratio,
        )
        extractors = [
            Extractor(
                dim,
                num_heads=heads,
                num_points=points,
                ratio=ratio,
                with_cffn=words.with_cffn,
                cffn_ratio=words.cffn_ratio,
                # As published: every extractor at the full rate, unlike the body's blocks.
                drop_path=self.drop_path_rate,
                eps=self.norm_eps,
            )
            for _ in range(1 + (_EXTRA_EXTRACTORS if last and words.use_extra_extractor else 0))
        ]
        injector = Injector(
            dim,
            num_heads=heads,
            num_points=points,
            ratio=ratio,
            init_values=words.init_values,
            eps=self.norm_eps,
        )
        return Interaction(injector, extractors, with_cp=self.with_cp)

    def _init_adapter(self) -> None:
        nn.init.normal_(self.level_embed)
        for part in (self.spm, self.interactions, self.up):
            init_linear_and_norm(part)
            for layer in part.modules():
                if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                    init_convolution(layer)
        for layer in self.interactions.modules():
            if isinstance(layer, DeformableAttention):
                layer.reset_parameters()


def _resized(map_NCHW: Tensor, size: Size) -> Tensor:
    if tuple(map_NCHW.shape[2:]) == size:
        return map_NCHW
    return F.interpolate(map_NCHW, size=size, mode="bilinear", align_corners=False)
