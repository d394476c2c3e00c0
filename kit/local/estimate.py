"""How much work and memory a network asks for, without doing the work or having the memory.

The network runs on tensors that have a shape and nothing in them, so the largest one takes seconds on a
laptop. Only `python -m kit.models list --size` and the benchmarks use this; it is not shipped to Kaggle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from torch.utils.weak import WeakIdKeyDictionary

from kit.models import InstanceNetwork, Network, build


@dataclass(frozen=True)
class Estimate:
    """What one image asks for in prediction, in float32.

    Attributes:
        parameters: number of them.
        weight_bytes: of parameters and buffers.
        forward_flops: floating point operations of convolutions, matrix products and attention; a
            multiplication and an addition are two. Normalisation, activations and resizing are not counted.
        peak_activation_bytes: most memory that tensors other than weights take at one moment. Scratch memory
            inside an operator (twice the output of a transposed convolution on the CPU) and what the
            allocator keeps in reserve come on top.
    """

    parameters: int
    weight_bytes: int
    forward_flops: int
    peak_activation_bytes: int


def estimate(config: Mapping[str, Any], height: int, width: int) -> Estimate:
    """Estimate one image through a network of the registry.

    Of an instance network these are the backbone, the neck and the proposal head on the image, the box heads
    on as many proposals as its settings keep, and the mask heads on as many detections as they keep: the most
    it can do. Which features a box looks at depends on numbers that are not there, so cutting them out
    (RoIAlign), NMS and drawing the masks at full size are left out.

    Args:
        config: as `kit.models.build` takes it.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        KitError: unknown network or argument, or a library it needs is not installed.
    """
    with torch.device("meta"):
        module = build(config).eval()
    tensors = [*module.parameters(), *module.buffers()]
    flops, peak = measure(module, lambda: _predict(module, torch.empty(1, 3, height, width)))
    return Estimate(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        forward_flops=flops,
        peak_activation_bytes=peak,
    )


def measure(module: nn.Module, forward: Callable[[], Any]) -> tuple[int, int]:
    """Floating point operations and peak bytes of a call that uses a module.

    Args:
        module: on the meta device; its tensors are replaced by empty ones that pass for a CPU's, so that
            operators take the ways they take there.
        forward: makes its own input.
    """
    # Anchors are made where the network is built, and are no parameters.
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        module.to_empty(device="cpu")
        with FlopCounterMode(display=False, custom_mapping=_UNCOUNTED) as counter, _PeakMemory() as memory:
            forward()
    return counter.get_total_flops(), memory.peak


def _attention_flops(query: Any, key: Any, value: Any, *_others: Any, **_named: Any) -> int:
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]  # torch leaves it open
    return flops


_UNCOUNTED: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops  # noqa: SLF001  its only name
}
"""torch counts its GPU kernels of attention only."""


class _PeakMemory(TorchDispatchMode):
    """Adds up the storages that operators return, for as long as somebody holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it open
        self.peak = 0
        self._live: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {id(storage) for storage in _storages((args, kwargs))}
        output = func(*args, **(kwargs or {}))
        for storage in _storages(output):
            if id(storage) not in given:  # no view, and not written in place
                self._live[storage] = storage.nbytes()
        self.peak = max(self.peak, sum(self._live.values()))
        return output


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _predict(module: Network, x_NCHW: Tensor) -> Any:
    return _instances(module, x_NCHW) if isinstance(module, InstanceNetwork) else module(x_NCHW)


def _instances(module: Any, x_NCHW: Tensor) -> None:
    network: Any = module.network
    padded_NCHW, _ = module._prepare(x_NCHW)  # noqa: SLF001  what `detect` does before anything is chosen
    features = network.extract_feat(padded_NCHW)
    # `forward`, not the module: hooks of the heads ask whether their numbers are finite.
    network.rpn_head.forward(features)
    head, settings = network.roi_head, network.test_cfg
    for extractor, box_head in zip(head.bbox_roi_extractor, head.bbox_head, strict=True):
        box_head.forward(_cut(extractor, settings.rpn.max_per_img))
    cut, before = _cut(head.mask_roi_extractor[-1], settings.rcnn.max_per_img), None
    for mask_head in head.mask_head:
        _, before = mask_head(cut, before)


def _cut(extractor: Any, number: int) -> Tensor:
    """What RoIAlign returns for a number of boxes."""
    return torch.empty(number, extractor.out_channels, *extractor.roi_layers[0].output_size)
