"""Facts about an image that are not in its pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageInfo:
    """Facts about an image that are not in its pixels.

    Attributes:
        pixel_size: side of a pixel in micrometres, None if not known.
        organ: name as in the competition's tables, e.g. "kidney"; empty if not known.
        source: where the image comes from, e.g. "HPA" or "Hubmap"; empty if not known.
    """

    pixel_size: float | None = None
    organ: str = ""
    source: str = ""
