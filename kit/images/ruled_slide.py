"""A slide whose samples become 8-bit RGB by the rule of a competition's definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.images.header import TiffHeader
from kit.images.intensity_rule import Intensity
from kit.images.levels import SAMPLED, Levels, SampleType, rgb
from kit.images.slide import Slide, opened

_UNSIGNED = {"uint": "u", "int": "i", "float": "f"}


class RuledSlide(Slide):
    """An open slide; `open_ruled` makes it."""

    levels: Levels

    def ruled(self, rule: Intensity, *, inverted: bool) -> None:
        """Take the rule; percentiles read the slide once."""
        header = self.header
        significant = header.significant_bits if header.sample_format == "uint" else 0
        kind = SampleType(bits=header.bits, kind=header.sample_format, significant=significant)
        self.levels = Levels(kind, rule, inverted=inverted, every=self._sampled)

    def _place(self, samples: list[Any], out_HWC: NDArray[np.uint8]) -> None:
        out_HWC[:] = rgb(self.levels(self._joined(samples)))

    def _joined(self, samples: Sequence[Any]) -> NDArray[Any]:
        """Return the samples of a block as numbers of their type, (h, w, 1 or 3)."""
        parts = [part[:, :, : 1 if part.shape[2] < 3 else 3] for part in samples]
        joined = np.concatenate(parts, axis=2) if len(parts) > 1 else np.ascontiguousarray(parts[0])
        native = joined.astype(joined.dtype.newbyteorder("="), copy=False)
        return native.view(f"{_UNSIGNED[self.header.sample_format]}{native.itemsize}")

    def _sampled(self) -> NDArray[Any]:
        """Return rows spread over the whole slide."""
        step = max(1, -(-self.height * self.width // SAMPLED))
        rows = [
            self._joined([_row(plane, y, self.width) for plane in self._planes])
            for y in range(0, self.height, step)
        ]
        return np.concatenate(rows)


def _row(plane: Any, y: int, width: int) -> NDArray[Any]:
    for number in plane.segments.pending(plane.touched(y, 0, 1, width)):
        plane.segments.prepare(number)
    row: NDArray[Any] = np.array(plane.get(y, 0, 1, width))
    return row


def open_ruled(
    header: TiffHeader, notes: Sequence[str], rule: Intensity, *, inverted: bool, scratch: Path | None
) -> RuledSlide:
    """Open a slide.

    Args:
        header: of the file.
        notes: what was left out, cut or assumed.
        rule: which samples become 0 and 255.
        inverted: white and black change places.
        scratch: folder of scratch files; the system's temporary folder if None.

    Raises:
        KitError: as `kit.images.slide.open_slide`.
    """
    slide = opened(RuledSlide, header, notes, scratch=scratch)
    try:
        slide.ruled(rule, inverted=inverted)
    except BaseException:
        slide.close()
        raise
    return slide
