"""Two Swin transformers, of which the second also sees what the first found at deeper stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import BACKBONES
from torch import Tensor, nn
from torch.nn import functional as F

from cbnetv2.pretrained import load_into_both, read_checkpoint
from cbnetv2.swin import SwinTransformer, checkpoint_path

Maps = tuple[Tensor, ...]


@BACKBONES.register_module()
class CBSwinTransformer(BaseModule):  # type: ignore[misc]  # mmdet has no types
    """Composite backbone of an assisting and a lead Swin transformer (CBNetV2, arXiv 2107.00420).

    Before each of its stages i the lead adds, to its own tokens, the assistant's normalised outputs of the
    stages i, i + 1, ...: deeper ones through a 1x1 convolution to stage i's channels and resized to its map
    by nearest neighbour. The lead has no patch embedding; it starts from the assistant's tokens.

    Args:
        embed_dim: channels of the first stage.
        cb_zero_init: whether `init_weights` sets the convolutions to zero.
        cb_del_stages: 1 keeps all of the lead's stages; n deletes its first n - 1. For their maps the lead
            normalises the assistant's tokens by its own norms.
        pretrained: checkpoint of one plain Swin transformer, loaded into both by `init_weights`.
        init_cfg: mmcv's way of saying the same.
        swin: every other word of `cbnetv2.swin.SwinTransformer`, the same for both.

    Raises:
        ValueError: `cb_del_stages` out of range, or stages left out of `out_indices`.
    """

    def __init__(
        self,
        embed_dim: int = 96,
        *,
        cb_zero_init: bool = True,
        cb_del_stages: int = 1,
        pretrained: str | None = None,
        init_cfg: Mapping[str, Any] | None = None,
        **swin: Any,
    ) -> None:
        super().__init__()
        self.pretrained = checkpoint_path(pretrained, init_cfg)
        self.cb_zero_init = cb_zero_init
        assistant, lead = (SwinTransformer(embed_dim=embed_dim, **swin) for _ in range(2))
        widths = assistant.num_features
        stages = len(widths)
        if not 1 <= cb_del_stages <= stages:
            raise ValueError(
                f"cb_del_stages is {cb_del_stages}; with {stages} stages it must lie between 1 and {stages}"
            )
        if assistant.out_indices != tuple(range(stages)):
            raise ValueError(
                f"out_indices {assistant.out_indices} leaves out stages whose maps the lead needs; "
                f"return all {stages} and choose in the neck (start_level)"
            )
        self._first = cb_del_stages - 1
        lead.patch_embed = None
        lead.absolute_pos_embed = None
        for stage in range(self._first):
            lead.layers[stage] = nn.Identity()
        self.cb_modules = nn.ModuleList([assistant, lead])
        self.cb_linears = nn.ModuleList()
        for stage in range(stages):
            sources = widths[stage:] if stage >= self._first else []
            self.cb_linears.append(
                nn.ModuleList(
                    nn.Identity() if width == widths[stage] else nn.Conv2d(width, widths[stage], 1)
                    for width in sources
                )
            )

    def forward(self, x_NCHW: Tensor) -> tuple[Maps, Maps]:
        """Feature maps of both transformers.

        Args:
            x_NCHW: images of any size.

        Returns:
            The assistant's maps and the lead's: each a tuple of one NCHW tensor a stage.
        """
        assistant, lead = cast("Iterable[SwinTransformer]", self.cb_modules)
        x_BHWC = assistant.embed(x_NCHW)
        inputs, outputs, found = [], [], []
        for stage in range(len(assistant.layers)):
            inputs.append(x_BHWC)
            out_BHWC, x_BHWC = assistant.advance(stage, x_BHWC)
            outputs.append(out_BHWC)
            found.append(assistant.normalised(stage, out_BHWC))

        x_BHWC = inputs[self._first]
        leading = [lead.normalised(stage, outputs[stage]) for stage in range(self._first)]
        for stage in range(self._first, len(lead.layers)):
            fed_BHWC = x_BHWC + self._feed(stage, found, x_BHWC.shape[1:3]).permute(0, 2, 3, 1)
            out_BHWC, x_BHWC = lead.advance(stage, fed_BHWC)
            leading.append(lead.normalised(stage, out_BHWC))
        return tuple(x.contiguous() for x in found), tuple(x.contiguous() for x in leading)

    def init_weights(self) -> None:
        """Initialise both transformers and the composition; then load `pretrained` into both."""
        for net in cast("Iterable[SwinTransformer]", self.cb_modules):
            net.init_weights()
        if self.cb_zero_init:
            for module in self.cb_linears.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.zeros_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        if self.pretrained is not None:
            load_into_both(self, read_checkpoint(self.pretrained))

    def _feed(self, stage: int, found_NCHW: list[Tensor], size: torch.Size) -> Tensor:
        """What the lead adds before a stage; resizing comes last, where it costs least."""
        total: Tensor | None = None
        reduces = cast("Iterable[nn.Module]", self.cb_linears[stage])
        for reduce, x_NCHW in zip(reduces, found_NCHW[stage:], strict=True):
            fed = reduce(x_NCHW)
            if fed.shape[2:] != size:
                fed = F.interpolate(fed, size=size, mode="nearest")
            total = fed if total is None else total + fed
        assert total is not None, "a stage is at least fed by itself"
        return total
