"""Collect what readers of truth assumed or left out, so that every command can tell it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kit.competitions.report import Level, Report

_SCALE = "coordinates are x, y in the image's pixels; was the image scaled or cut after it was annotated?"


class Remarks:
    """Counts remarks of one kind, so that 5000 clipped outlines are one line.

    A remark is a text that goes on after its number: "outlines leave their image" becomes
    "3 outlines leave their image", at the place of the first one.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[Level, str, str], list[str]] = {}

    def note(self, text: str, where: str) -> None:
        """Add what is worth knowing."""
        self._places.setdefault(("note", text, ""), []).append(where)

    def alarm(self, text: str, where: str, fix: str) -> None:
        """Add what can be used, but is hardly meant so."""
        self._places.setdefault(("alarm", text, fix), []).append(where)

    def tell_outside(self, points: NDArray[np.float64], height: int, width: int, where: str) -> None:
        """Add a remark if an outline leaves its image: a note for a little, an alarm for far or all of it.

        Args:
            points: (n, 2), its vertices x, y in pixels; n > 0.
            height: rows of the image.
            width: columns of the image.
            where: file and annotation.
        """
        low, high, size = points.min(axis=0), points.max(axis=0), np.array([width, height])
        # Of an image of 100 x 100, an outline may reach from -100 to 200 and still be a slip of the hand.
        if (high < 0).any() or (low > size).any():
            self.alarm("outlines lie outside their image altogether and are left out", where, _SCALE)
        elif (low < -size).any() or (high > 2 * size).any():
            self.alarm("outlines reach far outside their image and are cut off at its border", where, _SCALE)
        elif (low < 0).any() or (high > size).any():
            self.note("outlines leave their image and are cut off at its border", where)

    def tell(self, report: Report) -> None:
        """Add one finding for every kind of remark: the number, the text, the first place."""
        for (level, text, fix), places in self._places.items():
            report.add(level, f"{len(places)} {text}", places[0], fix)
