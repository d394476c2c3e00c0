"""Samples of any depth become 8-bit RGB, by the rule that a competition's definition declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.images.intensity_rule import Intensity

Samples = NDArray[Any]
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Samples -> 0..1 where black is 0 and white is 1; values outside are cut."""
SAMPLED = 1 << 22
"""Pixels of an image that its percentiles are taken of, at most: every n-th row."""
_TABLE_BITS = 16


@dataclass(frozen=True)
class SampleType:
    """What samples are.

    Attributes:
        bits: of a sample, 8, 16 or 32 (64 if it is a float).
        kind: "uint", "int" or "float".
        significant: lower bits that carry values (12 of the 16 bits of a CT); 0: all.
        offset: a sample's value is `sample * slope + offset` (DICOM's rescale).
        slope: see `offset`.
        window: the file's own window, if it has one.
    """

    bits: int
    kind: str = "uint"
    significant: int = 0
    offset: float = 0.0
    slope: float = 1.0
    window: Curve | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return it for numpy."""
        return np.dtype(f"{self.kind[0]}{max(self.bits, 8) // 8}")


class Levels:
    """Makes 8-bit levels of samples.

    Args:
        samples: what they are.
        rule: which become 0 and 255; None keeps those of 8 bits.
        inverted: white and black change places.
        every: all samples of the image, for percentiles.
    """

    def __init__(
        self, samples: SampleType, rule: Intensity | None, *, inverted: bool, every: Callable[[], Samples]
    ) -> None:
        self._type = samples
        self._flip = inverted
        self._table: NDArray[np.uint8] | None = None
        self._curve = self._curve_of(rule, every)
        if samples.kind != "float" and samples.bits <= _TABLE_BITS:
            # One look-up for each sample instead of arithmetic: a table of all values that there are.
            every_value = np.arange(1 << max(samples.bits, 8), dtype=np.int64)
            if samples.kind == "int":
                every_value = every_value.astype(np.dtype(f"u{samples.dtype.itemsize}")).view(samples.dtype)
            self._table = self._of(every_value.astype(np.float64))
            if np.array_equal(self._table, np.arange(256)):
                self._table = None

    @property
    def identical(self) -> bool:
        """Whether levels are the samples themselves."""
        return self._type.bits <= 8 and self._type.kind == "uint" and self._table is None

    def __call__(self, samples_HWC: Samples) -> NDArray[np.uint8]:
        """Return the levels of some samples, in their shape."""
        if self.identical:
            return samples_HWC.view(np.uint8)
        if self._table is None:
            return self._of(samples_HWC.astype(np.float64))
        index = samples_HWC.view(f"u{samples_HWC.itemsize}") if self._type.kind == "int" else samples_HWC
        levels_HWC: NDArray[np.uint8] = self._table[index]
        return levels_HWC

    def _of(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        # NaN becomes black, also where white and black change places.
        share = np.nan_to_num(self._curve(values), nan=float(self._flip), posinf=1.0, neginf=0.0)
        levels = np.clip(share * 255 + 0.5, 0, 255).astype(np.uint8)
        return 255 - levels if self._flip else levels

    def _curve_of(self, rule: Intensity | None, every: Callable[[], Samples]) -> Curve:
        kind = self._type
        if rule is None or rule.form == "full range":
            bits = kind.significant or kind.bits
            low = -(2.0 ** (bits - 1)) if kind.kind == "int" else 0.0
            step = 2.0 ** (bits - 8)
            # As for TIFFs, the upper 8 of the significant bits: 4095 of 12 bits is 4095 >> 4 = 255.
            return lambda values: np.floor((values - low) / step) / 255
        if rule.form == "dicom window":
            assert kind.window is not None, "`require_for` comes first"
            window = kind.window
            return lambda values: window(values * kind.slope + kind.offset)
        low, high = rule.low, rule.high
        if rule.form == "percentiles":
            shown = _some(every()).astype(np.float64) * kind.slope + kind.offset
            shown = shown[np.isfinite(shown)]
            low, high = np.percentile(shown, [rule.low, rule.high]).tolist() if shown.size else (0.0, 1.0)
            if low >= high:  # one value everywhere: it becomes 0
                high = low + 1
        return lambda values: (values * kind.slope + kind.offset - low) / (high - low)


def _some(samples_HWC: Samples) -> Samples:
    """Return every n-th row of an image, so that there are not too many."""
    step = max(1, -(-samples_HWC.shape[0] * samples_HWC.shape[1] // SAMPLED))
    return samples_HWC[::step]


def rgb(levels_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return three channels (h, w, 3) of one, two (grey and alpha), three or four (RGB and alpha)."""
    if levels_HWC.shape[2] < 3:
        return np.repeat(levels_HWC[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(levels_HWC[:, :, :3])
