"""Run one semantic network of several classes over one image; the maps of its classes lie in one file.

Single-class networks have `kit.inference.semantic`, and predict.py carries this module for the others only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from kit.artefacts import atomic_stream
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference import semantic, views
from kit.inference.band_source import BandSource, require_pixels
from kit.inference.blend import Blend
from kit.inference.forward import Batcher
from kit.inference.layout import layout
from kit.inference.prefetch import Prefetch, WriteBehind
from kit.inference.reader import batches
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import Levels, MapWriter
from kit.inference.tiles import Tile

Progress = Callable[[int, int], None]
Predicted = tuple[list[Tile], list[torch.Tensor]]


class ClassViews(semantic.Views):
    """The network under all views of a pass; probabilities are (n, K, H, W)."""

    def _mean(self, x_NCHW: torch.Tensor, group: Sequence[str]) -> torch.Tensor:
        total_NKHW: torch.Tensor | None = None
        for name in group:
            raw_NKHW = self._module(views.apply(name, x_NCHW).contiguous()).float()
            if self._output == "logit":  # as `semantic.probability`: infinite logits become NaN
                raw_NKHW = raw_NKHW.sigmoid().add_(raw_NKHW, alpha=0)
            prob_NKHW = views.invert(name, raw_NKHW)
            total_NKHW = prob_NKHW if total_NKHW is None else total_NKHW + prob_NKHW
        assert total_NKHW is not None, "a scale has a view"
        return total_NKHW / self._count


def predict_class_maps(
    module: torch.nn.Module,
    output: semantic.Output,
    classes: int,
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
) -> Path:
    """Predict an image under one view, or the mean of its probabilities under several views.

    Args:
        module: maps RGB uint8 (N, 3, H, W) on `device` to (N, K, H, W) as it declares; in eval mode.
        output: the meaning of its output.
        classes: K.
        settings: windows or size, and all else that the pass needs.
        source: the image.
        view: name of the view or of a set of views.
        target: file of the maps, (K * H, W) .npy of integers: the rows of the first class come first. It
            appears when it is complete.
        device: device of the module.
        where: member and image, for messages.
        batch_size: replaces that of the settings.
        on_batch: called with (tiles done, all tiles) after every batch.
        on_skipped: called once with (tiles without tissue, all tiles) if the settings skip background.
        info: what is known of the image; its pixel size is used if the settings have one.

    Returns:
        `target`.

    Raises:
        KitError: as `kit.inference.semantic.predict_map`.
    """
    require_pixels(source, where)
    forward = ClassViews(module, output, view, device, autocast=settings.autocast, where=where)
    size = (source.height, source.width)
    plan = layout(settings, forward.scales, size, pixel_size=info.pixel_size if info else None, where=where)
    batcher = Batcher(batch_size or semantic.batch_size_of(settings, plan, device), where=where)
    windows = batches(source, plan, batcher.size, tiles=None, skip_background=settings.skip_background)
    done = skipped = 0
    with write_maps(target, classes, *size, settings.stored) as files:
        blends = [semantic.BLENDS[settings.blend](plan, file, None) for file in files]
        with (
            Prefetch(
                semantic.tensors_of(windows, pinned=device.type == "cuda"), semantic.READ_AHEAD
            ) as waiting,
            WriteBehind(partial(_write, blends, forward.shares, where), semantic.WRITE_BEHIND) as behind,
        ):
            for shown, x_SNCHW, without_tissue in waiting:
                for piece, prob_SNKHW in batcher.pieces(partial(forward, x_SNCHW), len(shown)):
                    behind.put((shown[piece], prob_SNKHW))
                done += len(shown) + without_tissue
                skipped += without_tissue
                if on_batch is not None:
                    on_batch(done, len(plan))
        for blend in blends:
            blend.finish()
    if on_skipped is not None and settings.skip_background:
        on_skipped(skipped, len(plan))
    return target


def _write(blends: Sequence[Blend], shares: Sequence[float], where: str, shown: Predicted) -> None:
    """Check and blend the probabilities of each class; runs in the writer's thread."""
    tiles, prob_SNKHW = shown
    for number, blend in enumerate(blends):
        semantic.write_into(blend, shares, where, (tiles, [part[:, number] for part in prob_SNKHW]))


class _ClassWriter(MapWriter):
    """Writes the rows of one class into its part of the file."""

    def __init__(self, stream: BinaryIO, offset: int, width: int, dtype: np.dtype[np.generic]) -> None:
        self._stream, self.dtype = stream, dtype
        self._place, self._row_bytes = offset, width * dtype.itemsize
        self.written = 0

    def append(self, rows_HW: Levels) -> None:
        """Write the next rows of this class."""
        self._stream.seek(self._place + self.written * self._row_bytes)
        self._stream.write(np.ascontiguousarray(rows_HW).data)
        self.written += len(rows_HW)


@contextmanager
def write_maps(
    target: Path, classes: int, height: int, width: int, stored: str
) -> Iterator[list[_ClassWriter]]:
    """Yield a writer for each class; the file appears when the block ends and has all rows of all classes.

    Args:
        target: the .npy file, (classes * height, width).
        classes: number of maps.
        height: rows of each.
        width: columns.
        stored: "uint8" or "uint16".

    Raises:
        KitError: the disk is full or the folder is not writable.
    """
    dtype = np.dtype(stored).newbyteorder("<")
    with atomic_stream(target) as stream:
        shape = (classes * height, width)
        np.lib.format.write_array_header_1_0(
            stream, {"descr": dtype.str, "fortran_order": False, "shape": shape}
        )
        begin = stream.tell()
        size = height * width * dtype.itemsize
        stream.truncate(begin + classes * size)
        writers = [_ClassWriter(stream, begin + number * size, width, dtype) for number in range(classes)]
        yield writers
        if any(writer.written != height for writer in writers):
            raise KitError("a map is not complete", where=target, fix="run the pass again")
