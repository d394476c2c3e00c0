"""Run one semantic network over one slide and write its probability map to disk, band by band.

Memory holds bands and batches, never a complete slide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch

from kit.errors import KitError
from kit.inference import views
from kit.inference.band_source import require_pixels
from kit.inference.blend import Blend, Gaussian, Halo
from kit.inference.forward import Batcher, inference
from kit.inference.image_pass import ImagePass
from kit.inference.layout import Layout, layout
from kit.inference.prefetch import Prefetch, WriteBehind
from kit.inference.reader import Batch, batches
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import write_map
from kit.inference.tiles import Tile

if TYPE_CHECKING:
    from kit.inference.semantic_blocks import ConfidentBlocks

Output = Literal["logit", "sigmoid", "softmax"]
Predicted = tuple[list[Tile], list[torch.Tensor]]
"""Cores of some windows, and for each scale of the views their probabilities: float32 (n, H, W), or
(n, K, H, W) of several classes."""

# reader thread    bands of the slide -> windows -> network inputs -> batches
# this thread      for each view: turned image -> network -> probability -> turned back; then their mean
# writer thread    full resolution -> core, or blended windows -> bands -> file
_READ_AHEAD = 2
"""Batches of network inputs that wait for the network."""
_WRITE_BEHIND = 2
"""Batches of probabilities that wait for the writer."""
_CPU_PIXELS = 1 << 19
"""Most pixels of a batch on the CPU: more need more memory and are not faster."""
_ROUNDING = 1e-6
"""A float32 probability may exceed 1 by this. Ten times as much would make 16-bit levels begin again at 0."""
BLENDS: dict[str, type[Blend]] = {"halo": Halo, "gaussian": Gaussian}


def probability(raw_NCHW: torch.Tensor, output: Output, where: str) -> torch.Tensor:
    """Return the foreground probability, float32 (N, 1, H, W), of a network's output.

    Args:
        raw_NCHW: output of the network, (N, 1, H, W).
        output: meaning of the output, as the network declares it: a logit, or already a probability, by a
            sigmoid or as the foreground's share of a softmax.
        where: member and image, for messages.

    Returns:
        NaN where a logit is infinite: this is an overflow and not certainty.

    Raises:
        KitError: there is more than one value per pixel.
    """
    channels = raw_NCHW.shape[1]
    if channels != 1:
        raise KitError(
            f"a network that declares {output} returned {channels} channels", where=where, fix="give it one"
        )
    raw_NCHW = raw_NCHW.float()
    # Add 0 * logit, which is 0 for a number and NaN for infinity.
    return raw_NCHW.sigmoid().add_(raw_NCHW, alpha=0) if output == "logit" else raw_NCHW


class Views:
    """The network under all views of a pass; views of one scale share one input.

    Args:
        module: the network, on the device of the pass.
        output: meaning of its output.
        settings: of the member.
        pass_: the image and its views.

    Attributes:
        plan: the windows of the image, with an input for each scale of the views.
        shares: for each scale, the share of its views among all: 2/3 and 1/3 for identity+hflip+rot90@0.8. It
            is the largest value that the scale adds to the mean.

    Raises:
        KitError: the image has no pixels, or no windows can be laid over it.
    """

    def __init__(
        self, module: torch.nn.Module, output: Output, settings: SemanticSettings, pass_: ImagePass
    ) -> None:
        source, where = pass_.source, pass_.where
        require_pixels(source, where)
        self._module, self._output, self._where = module, output, where
        self._device, self._autocast = pass_.device, settings.autocast
        by_scale: dict[float, list[str]] = {}
        for view in views.get_set(pass_.view):
            by_scale.setdefault(view.scale, []).append(view.name)
        self._groups = tuple(by_scale.values())
        self._count = sum(len(group) for group in self._groups)
        self.shares = tuple(len(group) / self._count for group in self._groups)
        size, pixel_size = (source.height, source.width), pass_.info.pixel_size if pass_.info else None
        self.plan = layout(settings, tuple(by_scale), size, pixel_size=pixel_size, where=where)

    def __call__(self, inputs: Sequence[torch.Tensor], piece: slice) -> tuple[slice, list[torch.Tensor]]:
        """Return for each scale the sum of its views' probabilities, divided by the number of all views.

        Args:
            inputs: for each scale uint8 (N, 3, H, W) on the CPU.
            piece: which of the N to compute.

        Returns:
            The piece, and for each scale float32 (n, H, W).
        """
        with inference(self._device, autocast=self._autocast):
            return piece, [
                self._mean(x_NCHW[piece].to(self._device, non_blocking=True), group)
                for x_NCHW, group in zip(inputs, self._groups, strict=True)
            ]

    def _mean(self, x_NCHW: torch.Tensor, group: Sequence[str]) -> torch.Tensor:
        total_NHW: torch.Tensor | None = None
        for name in group:
            # Else the convolutions would have to copy an image with swapped axes, as float32.
            shown_NCHW = views.apply(name, x_NCHW).contiguous(memory_format=torch.channels_last)
            prob_NCHW = probability(self._module(shown_NCHW), self._output, self._where)
            prob_NHW = views.invert(name, prob_NCHW)[:, 0]
            total_NHW = prob_NHW if total_NHW is None else total_NHW + prob_NHW
        assert total_NHW is not None, "a scale has a view"
        return total_NHW / self._count if self._count > 1 else total_NHW


def predict_map(
    module: torch.nn.Module,
    output: Output,
    settings: SemanticSettings,
    pass_: ImagePass,
    confident: ConfidentBlocks | None = None,
) -> None:
    """Write the map of an image under one view, or the mean of its probabilities under several views.

    The map is a .npy of integers (H, W) as in `kit.inference.store.Levels`.

    Args:
        module: maps RGB uint8 (N, 3, H, W) on the pass's device to its declared output (N, 1, H, W) at the
            same size; in eval mode.
        output: the meaning of its output.
        settings: windows or size, and all else that the pass needs.
        pass_: the image, how it is shown, and the file to write.
        confident: blocks whose probability is known; windows are left out if nothing else is in their core.

    Raises:
        KitError: the image has no pixels, outputs are no probabilities, memory runs out with a batch of one,
            or the disk is full.
    """
    source = pass_.source
    forward = Views(module, output, settings, pass_)
    tiles = None if confident is None else confident.needed(forward.plan)
    with write_map(pass_.target, source.height, source.width, settings.stored) as file:
        blend = BLENDS[settings.blend](forward.plan, file, confident)
        write = partial(write_into, blend, forward.shares, pass_.where)
        show_windows(forward, settings, pass_, write, tiles)
        blend.finish()


def show_windows(
    forward: Views,
    settings: SemanticSettings,
    pass_: ImagePass,
    write: Callable[[Predicted], None],
    tiles: Sequence[Tile] | None = None,
) -> None:
    """Show an image to a network window by window, while windows are read ahead and results are written.

    Args:
        forward: the network under the views of the pass, and its windows.
        settings: of the member.
        pass_: the image, and who hears of the progress.
        write: takes the cores and probabilities of some windows at a time, in their order; runs in a thread.
        tiles: the cores of the windows to show; None for all.

    Raises:
        KitError: memory runs out with a batch of one, or what `write` raised.
    """
    device, plan = pass_.device, forward.plan
    batcher = Batcher(pass_.batch_size or batch_size_of(settings, plan, device), where=pass_.where)
    windows = batches(pass_.source, plan, batcher.size, tiles=tiles, skip_background=settings.skip_background)
    total = len(plan) if tiles is None else len(tiles)
    done = skipped = 0
    with (
        Prefetch(tensors_of(windows, pinned=device.type == "cuda"), _READ_AHEAD) as waiting,
        WriteBehind(write, _WRITE_BEHIND) as behind,
    ):
        for shown, x_SNCHW, without_tissue in waiting:
            for piece, prob in batcher.pieces(partial(forward, x_SNCHW), len(shown)):
                behind.put((shown[piece], prob))
            done += len(shown) + without_tissue
            skipped += without_tissue
            if pass_.on_batch is not None:
                pass_.on_batch(done, total)
    if pass_.on_skipped is not None and settings.skip_background:
        pass_.on_skipped(skipped, total)


def batch_size_of(settings: SemanticSettings, plan: Layout, device: torch.device) -> int:
    """Return the largest batch: that of the settings, fewer on the CPU."""
    if device.type != "cpu":
        return settings.batch_size
    pixels = max(rows * columns for rows, columns in plan.inputs)
    return min(settings.batch_size, max(1, _CPU_PIXELS // pixels))


def tensors_of(
    windows: Iterator[Batch], *, pinned: bool
) -> Iterator[tuple[list[Tile], list[torch.Tensor], int]]:
    """Yield batches as tensors: their tiles, an input (N, 3, H, W) for each scale, and the tiles left out."""
    for batch in windows:
        # Strided views: in memory they are channels-last, the order that convolutions need.
        x_SNCHW = [torch.from_numpy(x_NHWC).permute(0, 3, 1, 2) for x_NHWC in batch.inputs]
        yield batch.tiles, [x.pin_memory() for x in x_SNCHW] if pinned else x_SNCHW, batch.skipped


def write_into(blend: Blend, shares: Sequence[float], where: str, shown: Predicted) -> None:
    """Check probabilities and blend them; runs in the writer's thread, which waits for the device."""
    tiles, prob_SNHW = shown
    arrays = [prob_NHW.cpu().numpy() for prob_NHW in prob_SNHW]
    for prob_NHW, share in zip(arrays, shares, strict=True):
        low, high = float(prob_NHW.min()) / share, float(prob_NHW.max()) / share
        if math.isnan(low) or math.isnan(high):
            raise KitError(
                "the network returned probabilities that are not numbers",
                where=where,
                fix="weights are damaged or overflow in float16: see the training log or set autocast false",
            )
        if low < 0 or high > 1 + _ROUNDING:
            raise KitError(
                f"the network returned values from {low:.4g} to {high:.4g} for probabilities",
                where=where,
                fix='a network that returns logits declares output "logit"',
            )
    for index, tile in enumerate(tiles):
        blend.put(tile, [prob_NHW[index] for prob_NHW in arrays])
