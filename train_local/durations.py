"""Durations as people write them."""

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
