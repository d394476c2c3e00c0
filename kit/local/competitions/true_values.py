"""Values of the truth, with what else a metric in a file wants to know of their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kit.predictions import Values


@dataclass(frozen=True)
class TrueValues(Values):
    """The true values of an image.

    Attributes:
        more: target -> column of `metric.columns` -> its cell in the row of the target.
    """

    more: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
