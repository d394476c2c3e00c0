"""Mix Transformer (MiT), the encoder of SegFormer: mmseg's layers, so that published weights fit, run by us.

Attention is written here because mmseg's keeps every attention map, only to average and drop it: at 1024 px
those of the first stage's blocks are 256 MiB each. Same numbers up to rounding, in half the time there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from kit.models.network import Auxiliary, Logits, SemanticNetwork
from kit.models.network_spec import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, Output
from kit.models.openmmlab import quiet
from kit.typed_json import Checked, at_least, below

HEADS = (1, 2, 5, 8)
"""Attention heads of each stage; its width is `embed_dims` times as many."""

STRIDES = (4, 8, 16, 32)
"""Pixels of the input between two of each stage's feature map."""

_REDUCTIONS = (8, 4, 2, 1)
"""How much coarser each stage's keys and values are than its queries."""

LEAST_SIDE = 29
"""Pixels: 28 would leave 7 rows in stage 1, where keys and values need 8 for one row of their own."""


Count = Annotated[int, at_least(1)]
Rate = Annotated[float, at_least(0), below(1)]
"""A probability with which something is left out in training; 0 switches it off."""


@dataclass(frozen=True, kw_only=True)
class MitSize(Checked):
    """What every network on a Mix Transformer may change.

    Attributes:
        embed_dims: width of the encoder's first stage.
        depths: blocks of the encoder's four stages.
        channels: width of the decoder.
        dropout: of the decoder's channels.
        drop_path: probability that the encoder's last block is left out in training.
        checkpointing: spend time in training to save memory.
    """

    embed_dims: Count = 64
    depths: tuple[Count, Count, Count, Count] = (3, 4, 6, 3)
    channels: Count = 256
    dropout: Rate = 0.1
    drop_path: Rate = 0.1
    checkpointing: bool = False

    def encoder(self, *, eps: float = 1e-6) -> MixTransformer:
        """Return the encoder with random weights.

        Args:
            eps: as in `MixTransformer`.
        """
        return MixTransformer(
            self.embed_dims, self.depths, drop_path=self.drop_path, checkpointing=self.checkpointing, eps=eps
        )


class MixTransformer(nn.Module):
    """The encoder, with random weights.

    Args:
        embed_dims: width of the first stage; the others have 2, 5 and 8 times as much.
        depths: blocks of each of the four stages.
        drop_path: probability that the last block is left out in training; earlier ones less, linearly.
        checkpointing: in training keep only what goes into each block and compute the rest again in the
            backward pass.
        eps: of the layer norms behind patch embeddings and reductions: 1e-6 in mmseg, 1e-5 in the first
            published MiT (NVlabs). All others have 1e-6 in both.
    """

    def __init__(
        self,
        embed_dims: int,
        depths: Sequence[int],
        *,
        drop_path: float,
        checkpointing: bool,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        # Imported here, because an ensemble without a MiT does not have it on Kaggle.
        with quiet():
            from mmseg.models.backbones.mit import TransformerEncoderLayer
            from mmseg.models.utils import PatchEmbed

        self.checkpointing = checkpointing
        norm = {"type": "LN", "eps": 1e-6}
        rates = iter([drop_path * index / max(sum(depths) - 1, 1) for index in range(sum(depths))])
        self.layers = nn.ModuleList()
        before = 3
        for stage, (depth, heads) in enumerate(zip(depths, HEADS, strict=True)):
            width = embed_dims * heads
            kernel, stride = (7, 4) if stage == 0 else (3, 2)
            embed = PatchEmbed(
                before,
                width,
                kernel_size=kernel,
                stride=stride,
                padding=kernel // 2,
                norm_cfg={**norm, "eps": eps},
            )
            blocks = [
                TransformerEncoderLayer(
                    width,
                    heads,
                    feedforward_channels=4 * width,
                    drop_path_rate=next(rates),
                    norm_cfg=norm,
                    sr_ratio=_REDUCTIONS[stage],
                )
                for _ in range(depth)
            ]
            for block in blocks if _REDUCTIONS[stage] > 1 else ():
                block.attn.norm.eps = eps
            self.layers.append(nn.ModuleList([embed, nn.ModuleList(blocks), nn.LayerNorm(width, eps=1e-6)]))
            before = width
        self.apply(_initialise)

    def forward(self, x_NCHW: Tensor) -> list[Tensor]:
        """Feature maps of the four stages, at strides 4, 8, 16 and 32.

        Args:
            x_NCHW: normalised; height and width are `LEAST_SIDE` or more. 70 rows become 18, 9, 5 and 3.
        """
        levels = []
        layers: Any = self.layers
        for embed, blocks, norm in layers:
            tokens_BNC, (height, width) = embed(x_NCHW)
            for block in blocks:
                if self.checkpointing and torch.is_grad_enabled():
                    tokens_BNC = checkpoint(_block, block, tokens_BNC, height, width, use_reentrant=False)
                else:
                    tokens_BNC = _block(block, tokens_BNC, height, width)
            x_NCHW = _image(norm(tokens_BNC), height, width)
            levels.append(x_NCHW)
        return levels


def _initialise(layer: nn.Module) -> None:
    """First weights as mmseg draws them."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.Conv2d):
        fan_out = layer.out_channels * math.prod(layer.kernel_size) // layer.groups
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Segmenter(nn.Module):
    """Encoder and decoder, by the names they have in mmseg's checkpoints.

    Attributes:
        backbone: the encoder.
        decode_head: maps the four levels to logits at a quarter of the resolution.
        auxiliary_heads: map one level each to one logit; none for most networks.
    """

    def __init__(
        self, backbone: MixTransformer, decode_head: nn.Module, auxiliary_heads: nn.ModuleList
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head
        self.auxiliary_heads = auxiliary_heads


class MitNetwork(SemanticNetwork):
    """A semantic network on a Mix Transformer.

    Args:
        spec: what it declares.
        network: encoder and decoder.
        auxiliary_stages: those whose auxiliary heads enter a loss.
    """

    least_side = LEAST_SIDE

    network: Segmenter

    def __init__(
        self, spec: NetworkSpec, network: Segmenter, *, auxiliary_stages: Sequence[int] = ()
    ) -> None:
        super().__init__(spec, network)
        self.auxiliary_stages = tuple(auxiliary_stages)

    def raw(self, padded_NCHW: Tensor, *, auxiliary: bool) -> Logits:
        """Logits at a quarter of the resolution."""
        levels = self.network.backbone(padded_NCHW)
        named = {}
        for stage in self.auxiliary_stages if auxiliary else ():
            head = self.network.auxiliary_heads[stage]
            named[f"stage{stage}"] = Auxiliary(head(levels[stage]), STRIDES[stage])
        return Logits(self.network.decode_head(levels), named)


def declare(
    name: str,
    output: Output,
    *,
    system: str = "body-1st",
    size_divisor: int = 1,
    unused_parameters: tuple[str, ...] = (),
) -> NetworkSpec:
    """The declaration of a network on a Mix Transformer, which takes sides of any length as published."""
    return NetworkSpec(
        name=name,
        system=system,
        kind="semantic",
        output=output,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        size_divisor=size_divisor,
        requires=("mmcv-full", "mmsegmentation"),
        unused_parameters=unused_parameters,
    )


def widths(embed_dims: int) -> tuple[int, ...]:
    """Channels of the four levels."""
    return tuple(embed_dims * heads for heads in HEADS)


def _image(tokens_BNC: Tensor, height: int, width: int) -> Tensor:
    """Tokens as an image: a view, channels last in memory."""
    batch, _, channels = tokens_BNC.shape
    return tokens_BNC.transpose(1, 2).view(batch, channels, height, width)


def _tokens(x_NCHW: Tensor) -> Tensor:
    return x_NCHW.flatten(2).transpose(1, 2)


def _block(block: Any, tokens_BNC: Tensor, height: int, width: int) -> Tensor:
    """Attention, then the convolutional feed-forward part, each added to what it was given.

    Args:
        block: mmseg's `TransformerEncoderLayer`.
        tokens_BNC: row by row.
        height: of the feature map.
        width: of the feature map.
    """
    attended_BNC = _attend(block.attn, block.norm1(tokens_BNC), height, width)
    tokens_BNC = tokens_BNC + block.attn.dropout_layer(attended_BNC)
    mixed_BNC: Tensor = block.ffn(block.norm2(tokens_BNC), (height, width), identity=tokens_BNC)
    return mixed_BNC


def _attend(attention: Any, tokens_BNC: Tensor, height: int, width: int) -> Tensor:
    """Self-attention to keys and values at a lower resolution (SegFormer, equations 1 and 2).

    Args:
        attention: mmseg's `EfficientMultiheadAttention`.
        tokens_BNC: normalised, row by row.
        height: of the feature map.
        width: of the feature map.
    """
    # Stage 1 of an image of 1024 x 1024: 256 x 256 = 65,536 queries. A convolution with stride 8 leaves
    # 32 x 32 = 1,024 tokens for keys and values, so a head compares 65,536 x 1,024 pairs, not 65,536 squared.
    reduced_BMC = tokens_BNC
    if attention.sr_ratio > 1:
        reduced_BMC = attention.norm(_tokens(attention.sr(_image(tokens_BNC, height, width))))
    inner = attention.attn
    batch, _, channels = tokens_BNC.shape
    heads, each = inner.num_heads, inner.head_dim
    # One matrix holds the three projections above each other: rows [:C] of queries, [C:2C] of keys, [2C:] of
    # values. Queries come from all tokens, keys and values from the reduced ones.
    weight, bias = inner.in_proj_weight, inner.in_proj_bias
    query_BNC = F.linear(tokens_BNC, weight[:channels], bias[:channels])
    pair = F.linear(reduced_BMC, weight[channels:], bias[channels:]).view(batch, -1, 2, heads, each)
    key, value = pair.permute(2, 0, 3, 1, 4)
    query = query_BNC.view(batch, -1, heads, each).transpose(1, 2)
    out_BNC = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    projected: Tensor = inner.out_proj(out_BNC)
    return projected
