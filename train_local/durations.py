"""Durations as people write and read them."""

from __future__ import annotations

import re

from kit.errors import KitError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Read a duration: "2h", "90m", "1.5h", "2h30m", "45s", or a number of seconds.

    Raises:
        KitError: it is none.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    value = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or value <= 0:
        raise KitError(f"{text!r} is no duration", fix="write for example 2h, 90m, 1.5h or 2h30m")
    return value


def range_text(low: float, median: float, high: float) -> str:
    """Return a time and its range in one unit for people: "2.1 h (1.6 to 2.8 h)".

    Args:
        low: seconds.
        median: seconds; tells the unit.
        high: seconds.
    """
    unit, one = ("h", 3600.0) if median >= 3600 else ("min", 60.0) if median >= 60 else ("s", 1.0)
    texts = [
        f"{value / one:.0f}" if value >= 10 * one else f"{value / one:.1f}" for value in (low, median, high)
    ]
    return f"{texts[1]} {unit} ({texts[0]} to {texts[2]} {unit})"


def duration(value: float) -> str:
    """Return a time for people: "45 s", "12 min", "3 h 20 min", "2 d 4 h".

    Args:
        value: seconds.
    """
    minutes, whole_hours = round(value / 60), round(value / _UNITS["h"])
    if value < 90:
        return f"{value:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if whole_hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{whole_hours // 24} d {whole_hours % 24} h"
