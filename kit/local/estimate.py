"""Estimate the work and memory of a network without doing the work or using the memory.

The network runs on tensors that have a shape but no values, so even the largest network takes only seconds
on a laptop. `python -m kit.models list --size` and the benchmarks use this module.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from kit.models import InstanceNetwork, Network, build


@dataclass(frozen=True)
class Estimate:
    """Work and memory of the prediction of one image in float32.

    Attributes:
        parameters: number of parameters.
        weight_bytes: bytes of parameters and buffers.
        forward_flops: floating point operations of convolutions, matrix products and attention; a
            multiplication and an addition count as two. Normalisation, activations and resizing do not count.
        peak_activation_bytes: largest number of bytes that tensors other than weights take at one time.
            Scratch memory inside an operator (twice the output of a transposed convolution on the CPU) and
            the allocator's reserve are not included.
    """

    # A 3x3 convolution from 64 to 128 channels at 256 x 256 has 64 * 128 * 9 = 73728 weights (295 kB) and
    # takes 2 * 73728 * 256 * 256 = 9.7 GFLOP. Its input has 16.8 MB, its output 33.6 MB: a peak of 50.3 MB.

    parameters: int
    weight_bytes: int
    forward_flops: int
    peak_activation_bytes: int


def estimate(config: Mapping[str, Any], height: int, width: int) -> Estimate:
    """Estimate the prediction of one image by a registered network.

    For an instance network, this is the largest possible work: backbone, neck and proposal head on the image,
    the box heads on as many proposals as its settings allow, and the mask heads on as many detections.
    RoIAlign, NMS and the drawing of full-size masks depend on values and are left out.

    Args:
        config: as `kit.models.build` takes it.
        height: of the image in pixels.
        width: of the image in pixels.

    Raises:
        KitError: the network or an argument is unknown, or a library that it needs is not installed.
    """
    with torch.device("meta"):
        module = build(config).eval()
    tensors = [*module.parameters(), *module.buffers()]
    flops, peak = measure(module, lambda: predict(module, torch.empty(1, 3, height, width)))
    return Estimate(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        weight_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        forward_flops=flops,
        peak_activation_bytes=peak,
    )


def measure(module: nn.Module, forward: Callable[[], Any]) -> tuple[int, int]:
    """Return the floating point operations and the peak bytes of a call that uses a module.

    Args:
        module: on the meta device. Its tensors are replaced by fake CPU tensors, so that operators choose the
            implementation that they choose on a CPU.
        forward: makes its own input and calls the module.
    """
    # Non-fake inputs: the anchors of a detector are real tensors, made when the network is built.
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        module.to_empty(device="cpu")
        with count_flops() as counter, PeakMemory() as memory:
            forward()
    return counter.get_total_flops(), memory.peak


def count_flops() -> FlopCounterMode:
    """Return a context that counts floating point operations, as `Estimate` says."""
    return FlopCounterMode(display=False, custom_mapping=_UNCOUNTED)


def _attention_flops(query: Any, key: Any, value: Any, *_others: Any, **_named: Any) -> int:
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]  # torch leaves it open
    return flops


_UNCOUNTED: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops  # noqa: SLF001  its only name
}
"""torch itself counts the attention of GPUs only."""


class PeakMemory(TorchDispatchMode):
    """Sums the storages that operators return, as long as a tensor uses them.

    Attributes:
        peak: largest sum so far, in bytes.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it open
        self.peak = 0
        self._now = 0
        self._live: dict[int, Any] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        # `x.view(...)` and `x.add_(y)` return the storage of x, which is counted already. `x + y` returns a
        # new one. It counts until its last tensor is deleted.
        output = func(*args, **(kwargs or {}))
        new = [storage for storage in _storages(output) if id(storage) not in self._live]
        if new:
            given = {id(storage) for storage in _storages((args, kwargs))}
            for storage in new:
                if id(storage) not in given and id(storage) not in self._live:
                    self._add(storage)
            self.peak = max(self.peak, self._now)
        return output

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()

        def forget(_: Any) -> None:
            del self._live[key]
            self._now -= size

        self._live[key] = weakref.ref(storage, forget)
        self._now += size


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def predict(module: Network, x_NCHW: Tensor) -> Any:
    """Run the part of a prediction that depends on shapes alone.

    Args:
        module: on tensors without values, in eval mode.
        x_NCHW: the images.

    Returns:
        (N, 1, H, W) of a semantic network, None of an instance network.
    """
    return _instances(module, x_NCHW) if isinstance(module, InstanceNetwork) else module(x_NCHW)


def _instances(module: Any, x_NCHW: Tensor) -> None:
    network: Any = module.network
    padded_NCHW, _ = module.prepared(x_NCHW)  # the first step of `detect`
    features = network.extract_feat(padded_NCHW)
    # `forward` skips the hooks of the heads, which ask whether the values are finite. Here are no values.
    network.rpn_head.forward(features)
    head, settings = network.roi_head, network.test_cfg
    for extractor, box_head in zip(head.bbox_roi_extractor, head.bbox_head, strict=True):
        box_head.forward(_cut(extractor, settings.rpn.max_per_img))
    cut, before = _cut(head.mask_roi_extractor[-1], settings.rcnn.max_per_img), None
    for mask_head in head.mask_head:
        _, before = mask_head(cut, before)


def _cut(extractor: Any, number: int) -> Tensor:
    """Return a tensor of the shape that RoIAlign returns for a number of boxes."""
    return torch.empty(number, extractor.out_channels, *extractor.roi_layers[0].output_size)
