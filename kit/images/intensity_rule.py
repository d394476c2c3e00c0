"""Which samples become black and white: `images.intensity` of a competition's definition.

    intensity = "full range"                   # the whole range of the type: 0..65535 of 16 bits
    intensity = [0, 4095]                      # these two; for DICOM after its rescale, e.g. Hounsfield units
    intensity = { percentiles = [1, 99] }      # these of each image
    intensity = "dicom window"                 # the window that each DICOM file states

Standard library only: the definition is read before numpy is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.errors import KitError

FULL, WINDOW = "full range", "dicom window"
WAYS = (
    f'write "{FULL}" (of the type), [low, high] (these two samples become 0 and 255), '
    f'{{ percentiles = [1, 99] }} (of each image) or "{WINDOW}"'
)


@dataclass(frozen=True)
class Intensity:
    """Which samples become 0 and 255.

    Attributes:
        form: "full range" of the type, a fixed "range", "percentiles" of each image, or the "dicom window" of
            each file.
        low: sample or percentile that becomes 0.
        high: sample or percentile that becomes 255.
    """

    form: Literal["full range", "range", "percentiles", "dicom window"]
    low: float = 0.0
    high: float = 0.0


def intensity_of(value: Any) -> Intensity | None:
    """Return the rule of a definition's value; None stands for no rule.

    Raises:
        KitError: it is none of the four forms, or the second number is not above the first.
    """
    if value is None:
        return None
    if value == FULL:
        return Intensity("full range")
    if value == WINDOW:
        return Intensity("dicom window")
    if isinstance(value, Mapping) and set(value) == {"percentiles"}:
        low, high = _pair(value["percentiles"], value)
        if not 0 <= low < high <= 100:
            raise KitError(f"intensity.percentiles is [{low:g}, {high:g}]", fix="write two from 0 to 100")
        return Intensity("percentiles", low, high)
    low, high = _pair(value, value)
    if low >= high:
        raise KitError(
            f"intensity is [{low:g}, {high:g}]",
            fix='write the lower one first; images whose 0 is white have white_is_zero = "inverted"',
        )
    return Intensity("range", low, high)


def require_for(
    path: Path,
    rule: Intensity | None,
    *,
    bits: int,
    kind: str = "uint",
    colour: bool = False,
    window: bool = False,
) -> None:
    """Check that a rule says what becomes of an image's samples.

    Args:
        path: of the image.
        rule: of the definition.
        bits: of a sample.
        kind: "uint", "int" or "float".
        colour: whether they are RGB.
        window: whether the file states one.

    Raises:
        KitError: it does not; says which rules there are.
    """
    if rule is None and (bits > 8 or kind != "uint"):
        what = "RGB" if colour else "grey"
        raise KitError(
            f"image holds {bits}-bit {kind} {what} samples, and nobody says which of them become 0 and 255",
            where=path,
            fix=f"declare intensity under [images] of the competition's definition: {WAYS}",
        )
    if rule is not None and rule.form == "full range" and kind == "float":
        raise KitError(
            f'image holds floating-point samples, which have no "{FULL}"',
            where=path,
            fix="write two numbers, such as intensity = [0.0, 1.0], or { percentiles = [1, 99] }",
        )
    if rule is not None and rule.form == "dicom window" and not window:
        raise KitError(
            f'image states no window, but intensity is "{WINDOW}"',
            where=path,
            fix="write two numbers, such as intensity = [-160, 240], or { percentiles = [1, 99] }",
        )


def _pair(value: Any, whole: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, list | tuple) else ()
    if len(numbers) != 2 or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        for number in numbers
    ):
        raise KitError(f"intensity is {str(whole)[:80]!r}", fix=WAYS)
    return float(numbers[0]), float(numbers[1])
