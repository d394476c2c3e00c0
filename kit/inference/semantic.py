"""Run one semantic network over one slide and write its probability map to disk, band by band.

Memory holds bands and batches, never a complete slide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference import views
from kit.inference.band_source import BandSource, require_pixels
from kit.inference.blend import Blend, Gaussian, Halo
from kit.inference.forward import Batcher, inference
from kit.inference.layout import Layout, layout
from kit.inference.prefetch import Prefetch, WriteBehind
from kit.inference.reader import Batch, batches
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import write_map
from kit.inference.tiles import Tile

if TYPE_CHECKING:
    from kit.inference.semantic_blocks import ConfidentBlocks

Output = Literal["logit", "sigmoid", "softmax"]
Progress = Callable[[int, int], None]

# reader thread    bands of the slide -> windows -> network inputs -> batches
# this thread      for each view: turned image -> network -> probability -> turned back; then their mean
# writer thread    full resolution -> core, or blended windows -> bands -> file
READ_AHEAD = 2
"""Batches of network inputs that wait for the network."""
WRITE_BEHIND = 2
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
    """The network under all views of a pass.

    Args:
        module: the network.
        output: meaning of its output.
        names: set of views; views of one scale share one input.
        device: device of the module.
        autocast: use float16 on CUDA.
        where: member and image, for messages.

    Attributes:
        scales: the scales of the views, each once.
        shares: for each scale, the share of its views among all: 2/3 and 1/3 for identity+hflip+rot90@0.8. It
            is the largest value that the scale adds to the mean.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        output: Output,
        names: str,
        device: torch.device,
        *,
        autocast: bool,
        where: str,
    ) -> None:
        self._module, self._output, self._device, self._autocast = module, output, device, autocast
        self._where = where
        by_scale: dict[float, list[str]] = {}
        for view in views.get_set(names):
            by_scale.setdefault(view.scale, []).append(view.name)
        self.scales, self._groups = tuple(by_scale), tuple(by_scale.values())
        self._count = sum(len(group) for group in self._groups)
        self.shares = tuple(len(group) / self._count for group in self._groups)

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
    source: BandSource,
    *,
    view: str,
    target: Path,
    device: torch.device,
    where: str,
    batch_size: int | None = None,
    on_batch: Progress | None = None,
    on_skipped: Progress | None = None,
    info: ImageInfo | None = None,
    confident: ConfidentBlocks | None = None,
) -> Path:
    """Predict a slide under one view, or the mean of its probabilities under several views.

    Args:
        module: maps RGB uint8 (N, 3, H, W) on `device` to its declared output at the same size; in eval mode.
        output: the meaning of its output.
        settings: windows or size, and all else that the pass needs.
        source: the slide.
        view: name of the view or of a set of views.
        target: file of the map, (H, W) .npy of integers as in `kit.inference.store.Levels`; appears when it
            is complete.
        device: device of the module.
        where: member and image, for messages.
        batch_size: replaces that of the settings, which is an upper limit on the CPU.
        on_batch: called with (tiles done, all tiles) after every batch.
        on_skipped: called once with (tiles without tissue, all tiles) if the settings skip background.
        info: what is known of the image; its pixel size is used if the settings have one.
        confident: blocks whose probability is known; windows are left out if nothing else is in their core.

    Returns:
        `target`.

    Raises:
        KitError: the image has no pixels, outputs are no probabilities, memory runs out with a batch of one,
            or the disk is full.
    """
    require_pixels(source, where)
    forward = Views(module, output, view, device, autocast=settings.autocast, where=where)
    size = (source.height, source.width)
    plan = layout(settings, forward.scales, size, pixel_size=info.pixel_size if info else None, where=where)
    batcher = Batcher(batch_size or batch_size_of(settings, plan, device), where=where)
    tiles = None if confident is None else confident.needed(plan)
    total = len(plan) if tiles is None else len(tiles)
    windows = batches(source, plan, batcher.size, tiles=tiles, skip_background=settings.skip_background)
    done = skipped = 0
    with write_map(target, *size, settings.stored) as file:
        blend = BLENDS[settings.blend](plan, file, confident)
        with (
            Prefetch(tensors_of(windows, pinned=device.type == "cuda"), READ_AHEAD) as waiting,
            WriteBehind(partial(write_into, blend, forward.shares, where), WRITE_BEHIND) as behind,
        ):
            for shown, x_SNCHW, without_tissue in waiting:
                for piece, prob_SNHW in batcher.pieces(partial(forward, x_SNCHW), len(shown)):
                    behind.put((shown[piece], prob_SNHW))
                done += len(shown) + without_tissue
                skipped += without_tissue
                if on_batch is not None:
                    on_batch(done, total)
        blend.finish()
    if on_skipped is not None and settings.skip_background:
        on_skipped(skipped, total)
    return target


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


def write_into(
    blend: Blend, shares: Sequence[float], where: str, shown: tuple[list[Tile], list[torch.Tensor]]
) -> None:
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
