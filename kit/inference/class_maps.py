"""Run one semantic network of several classes over one image; the maps of its classes lie in one file.

Single-class networks have `kit.inference.semantic`, and predict.py carries this module for the others only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from kit.artefacts import atomic_stream
from kit.errors import KitError
from kit.inference import semantic, views
from kit.inference.blend import Blend
from kit.inference.image_pass import ImagePass
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import Levels, MapWriter


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
    pass_: ImagePass,
) -> None:
    """Write the maps of an image under one view, or the mean of its probabilities under several views.

    They are a .npy of integers (K * H, W): the rows of the first class come first.

    Args:
        module: maps RGB uint8 (N, 3, H, W) on the pass's device to (N, K, H, W) as it declares; in eval mode.
        output: the meaning of its output.
        classes: K.
        settings: windows or size, and all else that the pass needs.
        pass_: the image, how it is shown, and the file to write.

    Raises:
        KitError: as `kit.inference.semantic.predict_map`.
    """
    source = pass_.source
    forward = ClassViews(module, output, settings, pass_)
    with write_maps(pass_.target, classes, source.height, source.width, settings.stored) as files:
        blends = [semantic.BLENDS[settings.blend](forward.plan, file, None) for file in files]
        write = partial(_write, blends, forward.shares, pass_.where)
        semantic.show_windows(forward, settings, pass_, write)
        for blend in blends:
            blend.finish()


def _write(blends: Sequence[Blend], shares: Sequence[float], where: str, shown: semantic.Predicted) -> None:
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
