"""Detections of several classes on disk: one file, the classes one after the other.

The file is that of `kit.inference.store.save_detections` with one array more, so whoever looks at all
detections together reads it as well.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kit.artefacts import write_bytes
from kit.errors import KitError
from kit.inference.store import CodedDetections, load_detections


def save_labelled(path: Path, found: Sequence[CodedDetections]) -> None:
    """Write the detections of each class to a .npz file atomically.

    Args:
        path: the file.
        found: of each class, all of one image.
    """
    masks = [mask for one in found for mask in one.masks]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        size=np.array([found[0].height, found[0].width], np.int64),
        boxes=np.concatenate([one.boxes for one in found]),
        scores=np.concatenate([one.scores for one in found]),
        offsets=np.cumsum([0, *map(len, masks)]).astype(np.int64),
        counts=np.frombuffer(b"".join(masks), np.uint8),
        of_class=np.array([len(one.masks) for one in found], np.int64),
    )
    write_bytes(path, buffer.getvalue())


def load_labelled(path: Path, classes: int) -> list[CodedDetections]:
    """Read what `save_labelled` wrote, the detections of each class.

    Args:
        path: the file.
        classes: number of them.

    Raises:
        KitError: the file is missing, damaged, or of another number of classes.
    """
    every = load_detections(path)
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            numbers = np.asarray(stored["of_class"], np.int64)
    except (KeyError, ValueError, OSError) as error:
        raise KitError(
            f"the result of a pass is damaged: {error}", where=path, fix="delete it and run again"
        ) from error
    if len(numbers) != classes or int(numbers.sum()) != len(every.scores):
        raise KitError(
            f"the result of a pass has {len(numbers)} classes, not {classes}",
            where=path,
            fix="delete it and run again",
        )
    ends = np.cumsum(numbers)
    return [every.take(np.arange(end - count, end)) for end, count in zip(ends, numbers, strict=True)]
