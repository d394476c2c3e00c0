"""The table `[metadata]` of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns in the metadata tables; empty where there is no such column.

    Attributes:
        organ: column of the organ.
        source: column of the lab or data set.
        pixel_size: column of the pixel size in micrometres.
        group: column of what must stay together in one fold (patient, slide); empty: each image by itself.
        height: column of the image's rows; it is compared with the image's header.
        width: column of the image's columns; it is compared with the image's header.
    """

    organ: str = ""
    source: str = ""
    pixel_size: str = ""
    group: str = ""
    height: str = ""
    width: str = ""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the competition says of its images besides the pixels.

    The pixel size of an image is the first of these that is known: its cell in the table;
    `pixel_sizes["HPA/lung"]` (source/organ); `pixel_sizes["lung"]`; `pixel_size`.

    Attributes:
        train: CSV or JSON with one row per image, below the competition's folder; empty if there is none.
        test: the same for the images to predict.
        id: column of the ids; an id may end with the image's suffix, as in "a.tiff".
        columns: names of the columns in both tables.
        organ: organ of the images whose table does not tell it.
        source: source of the images whose table does not tell it.
        pixel_size: micrometres, for images whose pixel size is not known otherwise.
        pixel_sizes: micrometres by "source/organ" or organ, for images whose table does not tell it.
    """

    train: str = ""
    test: str = ""
    id: str = "id"
    columns: Columns = field(default_factory=Columns)
    organ: str = ""
    source: str = ""
    pixel_size: float | None = None
    pixel_sizes: Mapping[str, float] = field(default_factory=dict)
