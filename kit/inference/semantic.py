"""One semantic network over one slide: a probability map on disk, written band by band.

reader thread (bands -> windows -> network inputs) -> batches -> view -> network -> probability -> view undone
-> full resolution -> core -> 16-bit band -> file. Memory is bands and batches, never height x width.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference import views
from kit.inference.forward import Batcher, inference
from kit.inference.prefetch import Prefetch
from kit.inference.reader import BandSource, require_pixels, windows
from kit.inference.settings import SemanticSettings
from kit.inference.store import LEVELS, MapWriter
from kit.inference.tiles import Tile, count

Output = Literal["logit", "sigmoid", "softmax"]
Progress = Callable[[int, int], None]

_READ_AHEAD = 2
"""Batches of network inputs waiting for the network."""


def probability(raw_NCHW: torch.Tensor, output: Output) -> torch.Tensor:
    """Foreground probability, float32 (N, 1, H, W), of what a network returns.

    Args:
        raw_NCHW: (N, 1, H, W).
        output: what the numbers are, as the network declares it: a logit, or already a probability, whether
            its own sigmoid or the foreground's share of a softmax.

    Raises:
        KitError: more than one value a pixel.
    """
    channels = raw_NCHW.shape[1]
    if channels != 1:
        raise KitError(f"a network that declares {output} returned {channels} channels")
    raw_NCHW = raw_NCHW.float()
    return raw_NCHW.sigmoid() if output == "logit" else raw_NCHW


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
) -> Path:
    """Predict a whole slide under one view.

    Args:
        module: maps RGB uint8 (N, 3, H, W) on `device` to its declared output at the same size; in eval mode.
        output: what it declares.
        settings: windows, cores and scale.
        source: the slide.
        view: name of the view.
        target: file for the map, uint16 (H, W) .npy, round(65535 * probability); appears when it is whole.
        device: where the module is.
        where: member and image, for messages.
        batch_size: instead of the settings'.
        on_batch: called with (tiles done, tiles in all) after every batch.

    Returns:
        `target`.

    Raises:
        KitError: no pixels, probabilities that are not numbers, memory out with a batch of one, disk full.
    """
    require_pixels(source, where)
    batcher = Batcher(batch_size or settings.batch_size, where=where)
    total, done = count(source.height, source.width, settings.core), 0
    window, context = settings.window, settings.context

    def forward(x_NCHW: torch.Tensor) -> NDArray[np.uint16]:
        x_NCHW = x_NCHW.to(device, non_blocking=True)
        with inference(device, autocast=settings.autocast):
            prob_NCHW = views.invert(view, probability(module(views.apply(view, x_NCHW)), output))
        if not bool(torch.isfinite(prob_NCHW).all()):
            raise KitError(
                "the network returned probabilities that are not numbers",
                where=where,
                fix="weights are damaged or overflow in float16: see the training log or set autocast false",
            )
        if prob_NCHW.shape[-2:] != (window, window):
            prob_NCHW = F.interpolate(prob_NCHW, (window, window), mode="bilinear", align_corners=False)
        core_NHW = prob_NCHW[:, 0, context : context + settings.core, context : context + settings.core]
        levels: NDArray[np.uint16] = (
            (core_NHW * LEVELS).round().to(torch.int32).cpu().numpy().astype(np.uint16)
        )
        return levels

    with (
        MapWriter(target, source.height, source.width) as writer,
        Prefetch(_batches(windows(source, settings), batcher.size), _READ_AHEAD) as batches,
    ):
        for tiles, x_NCHW in batches:
            cores = itertools.chain.from_iterable(batcher.run(forward, x_NCHW))
            for tile, core_HW in zip(tiles, cores, strict=True):
                writer.put(tile, core_HW)
            done += len(tiles)
            if on_batch is not None:
                on_batch(done, total)
        writer.finish()
    return target


def _batches(
    items: Iterator[tuple[Tile, NDArray[np.uint8]]], size: int
) -> Iterator[tuple[list[Tile], torch.Tensor]]:
    while chunk := list(itertools.islice(items, size)):
        x_NHWC = torch.from_numpy(np.stack([input_HWC for _, input_HWC in chunk]))
        # A strided view: already channels-last in memory, which is what the GPU wants, and free on the CPU.
        yield [tile for tile, _ in chunk], x_NHWC.permute(0, 3, 1, 2)
