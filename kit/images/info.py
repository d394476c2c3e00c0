"""What is known of an image besides its pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image besides its pixels.

    Attributes:
        pixel_size: side of a pixel in micrometres, None if not known.
        organ: as the competition spells it, e.g. "kidney"; empty if not known.
        source: where the image comes from, e.g. "HPA" or "Hubmap"; empty if not known.
    """

    pixel_size: float | None = None
    organ: str = ""
    source: str = ""
