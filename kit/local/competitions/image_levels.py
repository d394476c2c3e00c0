"""Look at a few images as networks see them: a wrong rule for their intensity makes them black or white."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.competitions.report import Report
from kit.errors import KitError
from kit.images.image_protocols import OpenImage, Reading
from kit.local.wording import counted

_BANDS, _ROWS = 8, 16
"""Bands of an image that are looked at, and rows of each."""
_FEW = 8
_FLAT, _CUT = 0.99, 0.9
_FIX = "compare images.intensity with the samples: docs/images.md says how"


def check(report: Report, reading: Reading, paths: Mapping[str, Path]) -> None:
    """Raise an alarm for images that are nearly black, white or cut off; the first, middle and last are read.

    Args:
        report: gets the alarms, and an error for an image whose pixels cannot be decoded.
        reading: of the competition.
        paths: id -> file, of images whose header can be read.
    """
    ids = list(paths)
    for image_id in dict.fromkeys(ids[place] for place in (0, len(ids) // 2, -1)) if ids else ():
        path = paths[image_id]
        try:
            with reading.open(path) as opened:
                problem = _problem(_shown(opened))
        except KitError as error:
            report.take(error, str(path))
            continue
        if problem:
            report.alarm(f"as networks see this image, {problem}", str(path), _FIX)


def _shown(opened: OpenImage) -> NDArray[np.uint8]:
    """Return the levels of some rows, spread over the image."""
    tops = np.linspace(0, max(0, opened.height - _ROWS), min(_BANDS, opened.height), dtype=int)
    bands = [opened.read_band(top, min(top + _ROWS, opened.height)) for top in np.unique(tops).tolist()]
    return np.concatenate(bands)


def _problem(levels_HWC: NDArray[np.uint8]) -> str:
    """Say what is wrong with some levels; an empty text if nothing is."""
    counts = np.bincount(levels_HWC.ravel(), minlength=256) / max(1, levels_HWC.size)
    black, white = float(counts[0]), float(counts[255])
    if max(black, white) > _FLAT:
        return f"{max(black, white):.1%} of it is {'black' if black > white else 'white'}"
    if black + white > _CUT:
        return f"{black:.0%} of it is black and {white:.0%} white, with little between them"
    levels = int(np.count_nonzero(counts))
    if levels < _FEW:
        return f"it has only {counted(levels, 'level')}"
    return ""
