"""mmdet's Hybrid Task Cascade behind the kit's interface, without data containers and class lists."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.errors import KitError, NotFiniteError
from kit.models import cascade_detect
from kit.models.detections import Detections
from kit.models.network import InstanceNetwork
from kit.models.network_spec import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec
from kit.models.openmmlab import quiet


def declaration(name: str, *packages: str) -> NetworkSpec:
    """Return the declaration of a Hybrid Task Cascade: ImageNet's colours, sides in multiples of 32.

    Args:
        name: of the network.
        packages: distributions that it needs besides mmcv-full and mmdet.
    """
    return NetworkSpec(
        name=name,
        system="vasculature-3rd",
        kind="instance",
        output="detections",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        size_divisor=32,
        requires=(*packages, "mmcv-full", "mmdet"),
    )


def build_detector(spec: NetworkSpec, config: Mapping[str, Any]) -> nn.Module:
    """Build mmdet's detector with random weights.

    Args:
        spec: the network's declaration.
        config: mmdet's, from `kit.models.htc.config`; the packages that register its parts are imported.

    Raises:
        KitError: two sizes in the config do not fit each other.
    """
    # Imported here, because a semantic ensemble does not have mmdet on Kaggle.
    with quiet():
        from mmcv import ConfigDict
        from mmdet.models import build_detector

    try:
        network: Any = build_detector(ConfigDict(config))
    except ValueError as error:  # the sizes of a backbone or neck do not fit each other
        raise KitError(
            f"network {spec.name!r} cannot be built: {error}", fix="correct its sizes in the config"
        ) from error
    if not next(network.parameters()).is_meta:  # on the meta device there are no values
        network.init_weights()
    network.rpn_head.register_forward_hook(partial(_finite, spec.name, "region proposals"))
    for stage, head in enumerate(network.roi_head.bbox_head):
        head.register_forward_hook(partial(_finite, spec.name, f"boxes of stage {stage + 1}"))
    built: nn.Module = network
    return built


class HybridTaskCascade(InstanceNetwork):
    """Three stages of boxes and masks on any backbone; all published instance networks have this form."""

    network: Any

    def __init__(self, spec: NetworkSpec, network: nn.Module, *, least_side: int = 0) -> None:
        """Wrap a built detector.

        Args:
            spec: the network's declaration.
            network: from `build_detector`.
            least_side: smallest side that the backbone accepts.
        """
        super().__init__(spec, network)
        self.least_side = least_side

    @torch.no_grad()
    def detect(self, x_NCHW: Tensor) -> list[Detections]:
        """Return the instances of each image by the network's own thresholds, see `CascadeSize`.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.

        Raises:
            NotFiniteError: the network's weights or activations are not finite.
        """
        padded, metas = self.prepared(x_NCHW)
        return cascade_detect.detect(self.network, padded, metas)

    def prepared(self, x_NCHW: Tensor) -> tuple[Tensor, list[dict[str, Any]]]:
        """Return the normalised batch, padded with zeros as published, and mmdet's facts about each image."""
        height, width = x_NCHW.shape[-2:]
        padded = F.pad(self.normalise(x_NCHW), self.padding(height, width))
        meta = {
            "img_shape": (height, width, 3),
            "ori_shape": (height, width, 3),
            "pad_shape": (*padded.shape[-2:], 3),
            "batch_input_shape": tuple(padded.shape[-2:]),
            "scale_factor": np.ones(4, dtype=np.float32),
            "flip": False,
        }
        return padded, [dict(meta) for _ in range(len(padded))]


def _finite(name: str, part: str, _module: nn.Module, _inputs: Any, output: Any) -> Any:
    """Convert a head's two tensors, or two lists of tensors, to float32; refuse NaN. A forward hook.

    mmdet computes boxes in the precision of the head's output. NaN would look like an image without
    instances, or crash the process in NMS or RoIAlign.
    """
    # float16 has 11 significant bits: between 1024 and 2048 it knows 1500 and 1501, but not 1500.5.
    converted = [
        item.float() if isinstance(item, Tensor) else [part.float() for part in item] for item in output
    ]
    tensors = [tensor for item in converted for tensor in ([item] if isinstance(item, Tensor) else item)]
    if not tensors[0].is_meta:
        finite = torch.stack([tensor.isfinite().all() for tensor in tensors]).all()  # waits once for the GPU
        if not bool(finite):
            raise NotFiniteError(
                f"the {part} of {name} are not numbers",
                fix="the weights are damaged, training diverged or values overflow in float16: read the "
                "training log, lower the learning rate or set autocast to false",
            )
    return tuple(converted)
