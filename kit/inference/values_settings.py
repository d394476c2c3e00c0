"""What the engine of values is told, as plain dicts in `ensemble.json`.

`Member.inference` holds `ValuesSettings`, `Rung.settings` holds `ValuesFusion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from kit.typed_json import Checked, at_least

VALUES_SIDE = 512
"""Side of the image by which a model that takes every size is priced, pixels."""


@dataclass(frozen=True, kw_only=True)
class ValuesSettings(Checked):
    """How a model that predicts values sees an image: at once.

    Attributes:
        size: longer side of the image that the model gets, pixels; the ratio is kept. A view's scale
            multiplies it ("hflip@0.8"). None: the image as it is.
        autocast: float16 autocast on CUDA; the CPU always computes in float32.
    """

    size: Annotated[int, at_least(1)] | None = None
    autocast: bool = False


@dataclass(frozen=True, kw_only=True)
class ValuesFusion(Checked):
    """How the values of several passes become one.

    Attributes:
        numbers: "mean": weighted mean; "median": the number that half of the weight is below. Of words the
            one with most weight is taken.
    """

    numbers: Literal["mean", "median"] = "mean"
