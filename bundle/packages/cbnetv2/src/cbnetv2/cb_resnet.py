"""Two residual networks, of which the second also sees what the first found at deeper stages."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, ClassVar, Self, cast

from mmcv.cnn import build_norm_layer
from mmcv.runner import BaseModule
from mmdet.models.backbones.res2net import Res2Net
from mmdet.models.backbones.resnet import ResNet
from mmdet.models.builder import BACKBONES
from torch import Tensor, nn
from torch.nn import functional as F

Maps = tuple[Tensor, ...]


class _Lead:
    """What makes one of mmdet's residual networks a lead: no stem, and perhaps no first stages."""

    def give_up(self: Any, stages: int) -> None:
        """Delete the stem and the first stages, whose maps come from the assistant.

        `bn1` stays, unused, because the published checkpoints hold it; it takes no gradient, else
        distributed training would wait for one.
        """
        if self.deep_stem:
            del self.stem
        else:
            del self.conv1
            self.norm1.requires_grad_(False)
        for name in self.res_layers[:stages]:
            delattr(self, name)
        self.res_layers = self.res_layers[stages:]

    def _freeze_stages(self: Any) -> None:
        for stage in range(1, self.frozen_stages + 1):
            layer = getattr(self, f"layer{stage}", None)
            if layer is not None:
                layer.eval().requires_grad_(False)


class _LeadResNet(_Lead, ResNet):  # type: ignore[misc]  # mmdet has no types
    pass


class _LeadRes2Net(_Lead, Res2Net):  # type: ignore[misc]  # mmdet has no types
    pass


class _CompositeResNet(BaseModule):  # type: ignore[misc]  # mmdet has no types
    """The composition; the subclasses say of which networks and what the words mean."""

    assistant_type: ClassVar[type[nn.Module]]
    lead_type: ClassVar[type[nn.Module]]

    def __init__(
        self,
        *,
        cb_inplanes: list[int] | tuple[int, ...] | None = None,
        cb_zero_init: bool = True,
        cb_del_stages: int = 0,
        **words: Any,
    ) -> None:
        super().__init__()
        # mmdet's deformable blocks take entries out of their settings, hence two copies.
        assistant: Any = self.assistant_type(**deepcopy(words))
        lead: Any = self.lead_type(**deepcopy(words))
        stages = assistant.num_stages
        planes = [assistant.base_channels * 2**stage for stage in range(stages)]
        widths = [assistant.stem_channels, *(assistant.block.expansion * width for width in planes)]
        if cb_inplanes is None or list(cb_inplanes) != widths:
            said = "is missing" if cb_inplanes is None else f"is {list(cb_inplanes)}"
            raise ValueError(f"cb_inplanes {said}; this network's stem and stages have {widths} channels")
        if not 0 <= cb_del_stages < stages:
            raise ValueError(
                f"cb_del_stages is {cb_del_stages}; the lead keeps one of {stages} stages "
                f"at least, so it must lie between 0 and {stages - 1}"
            )
        self.cb_zero_init = cb_zero_init
        self._first = cb_del_stages
        lead.give_up(cb_del_stages)
        self.cb_modules = nn.ModuleList([assistant, lead])
        self.cb_linears = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(
                    nn.Conv2d(deeper, widths[stage], 1, bias=False),
                    build_norm_layer(assistant.norm_cfg, widths[stage])[1],
                )
                for deeper in (widths[stage + 1 :] if stage >= cb_del_stages else [])
            )
            for stage in range(stages)
        )

    def forward(self, x_NCHW: Tensor) -> tuple[Maps, Maps]:
        """Feature maps of both networks.

        Args:
            x_NCHW: images of any size.

        Returns:
            The assistant's maps and the lead's: each a tuple of one tensor for each of `out_indices`.

        Raises:
            ValueError: not images of `in_channels` channels.
        """
        assistant, lead = self._nets
        found = [_stem(assistant, x_NCHW)]
        for name in assistant.res_layers:
            found.append(getattr(assistant, name)(found[-1]))

        leading = found[: self._first + 1]
        for stage, name in enumerate(lead.res_layers, self._first):
            fed = leading[-1] + self._feed(stage, found)
            leading.append(getattr(lead, name)(fed))
        return (
            tuple(found[stage + 1] for stage in assistant.out_indices),
            tuple(leading[stage + 1] for stage in assistant.out_indices),
        )

    def init_weights(self) -> None:
        """Initialise each network by its own `init_cfg`, and the composition by `cb_zero_init`."""
        for net in self._nets:
            net.init_weights()
        if self.cb_zero_init:
            for norm in self._norms():
                nn.init.zeros_(norm.weight)
                nn.init.zeros_(norm.bias)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; the composition's normalisation stays in evaluation.

        The running statistics of its batch norms are never updated, so these scale and shift, as published.
        """
        super().train(mode)
        for norm in self._norms():
            norm.eval()
        return self

    @property
    def _nets(self) -> tuple[Any, Any]:
        assistant, lead = self.cb_modules
        return assistant, lead

    def _norms(self) -> list[Any]:
        return [pair[1] for pair in self.cb_linears.modules() if isinstance(pair, nn.Sequential)]

    def _feed(self, stage: int, found: list[Tensor]) -> Tensor:
        """What the lead adds to the input of a stage: all that the assistant found there and deeper."""
        size = found[stage].shape[-2:]
        reduces = cast("Iterable[nn.Module]", self.cb_linears[stage])
        fed = [
            F.interpolate(reduce(x_NCHW), size=size, mode="nearest")
            for reduce, x_NCHW in zip(reduces, found[stage + 1 :], strict=True)
        ]
        total = fed[0]
        for one in fed[1:]:
            total = total + one
        return total


@BACKBONES.register_module()
class CBResNet(_CompositeResNet):
    """Composite backbone of an assisting and a lead ResNet (CBNetV2, arXiv 2107.00420).

    Before each of its stages the lead adds the assistant's outputs of that stage and of all deeper ones,
    each through a 1x1 convolution and BatchNorm and resized by nearest neighbour. The lead has no stem; it
    starts from the assistant's maps.

    Args:
        cb_inplanes: channels of the stem and of each stage: [64, 256, 512, 1024, 2048] for ResNet-50.
        cb_zero_init: whether `init_weights` sets scale and shift of the composition's BatchNorm to zero, so
            that it adds nothing at first.
        cb_del_stages: stages that the lead leaves to the assistant; 1 in every published configuration.
        words: every word of mmdet's `ResNet`, the same for both.

    Raises:
        ValueError: `cb_inplanes` missing or of another network, `cb_del_stages` out of range.
    """

    assistant_type = ResNet
    lead_type = _LeadResNet


@BACKBONES.register_module()
class CBRes2Net(_CompositeResNet):
    """`CBResNet` made of mmdet's `Res2Net`.

    Args:
        cb_inplanes: as in `CBResNet`; [64, 256, 512, 1024, 2048] for Res2Net-101.
        cb_zero_init: as in `CBResNet`.
        cb_del_stages: as in `CBResNet`.
        words: every word of mmdet's `Res2Net`, the same for both.

    Raises:
        ValueError: as `CBResNet`.
    """

    assistant_type = Res2Net
    lead_type = _LeadRes2Net


def _stem(net: ResNet, x_NCHW: Tensor) -> Tensor:
    first: nn.Module = net.stem[0] if net.deep_stem else net.conv1
    needed = first.in_channels
    if x_NCHW.ndim != 4 or x_NCHW.shape[1] != needed:
        raise ValueError(
            f"images of shape {tuple(x_NCHW.shape)} do not fit: (N, {needed}, height, width) is needed; "
            "convert them or build the network with other in_channels"
        )
    x_NCHW = net.stem(x_NCHW) if net.deep_stem else net.relu(net.norm1(net.conv1(x_NCHW)))
    pooled: Tensor = net.maxpool(x_NCHW)
    return pooled
