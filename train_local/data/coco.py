"""COCO annotations of tiles, with the conventions the published pipelines trained on.

One category, `blood_vessel`, id 0. Image ids are the tile ids themselves. Annotation ids count from 1. Boxes
are [left, top, width, height] with both border pixels counted (width = x2 - x1 + 1). `area` is the number of
pixels. Masks are uncompressed run lengths (counts down the columns, background first). `iscrowd` is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.local.masks import boxes
from kit.masks import coco, rle
from kit.predictions import Instances

CATEGORY = {"id": 0, "name": "blood_vessel", "supercategory": "none"}


def mask_of(annotation: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the mask of an annotation, bool (H, W)."""
    height, width = annotation["segmentation"]["size"]
    return rle.decode(rle.from_lengths(np.array(annotation["segmentation"]["counts"])), height, width)


def annotations_of(tile_id: str, truth: Instances) -> list[dict[str, Any]]:
    """Return one annotation for each instance of a tile; `whole` gives them their ids.

    Raises:
        KitError: an instance has no pixels.
    """
    entries: list[dict[str, Any]] = []
    for number, counts in enumerate(truth.masks):
        runs = coco.runs_of(counts, truth.height, truth.width)
        if not len(runs):
            raise KitError(
                f"instance {number} of tile {tile_id} has no pixels", fix="remove this polygon from the truth"
            )
        # Far ends are exclusive, so the difference is COCO's width with both border pixels.
        x0, y0, x1, y1 = boxes.of_runs(runs, truth.height)
        entries.append(
            {
                "image_id": tile_id,
                "category_id": CATEGORY["id"],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": rle.area(runs),
                "iscrowd": 0,
                "segmentation": {
                    "size": [truth.height, truth.width],
                    "counts": rle.to_lengths(runs, truth.height * truth.width).tolist(),
                },
            }
        )
    return entries


def whole(
    tiles: Mapping[str, Instances], file_names: Mapping[str, str], *, description: str
) -> dict[str, Any]:
    """Return the JSON value of some images.

    Args:
        tiles: id -> its instances; tiles without any stay listed as images.
        file_names: id -> path of the image below the competition's folder.
        description: goes into `info`.

    Raises:
        KitError: an instance has no pixels.
    """
    entries = [entry for tile_id, truth in tiles.items() for entry in annotations_of(tile_id, truth)]
    return {
        "info": {"description": description},
        "images": [
            {"id": tile_id, "file_name": file_names[tile_id], "height": truth.height, "width": truth.width}
            for tile_id, truth in tiles.items()
        ],
        "categories": [dict(CATEGORY)],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(entries, 1)],
    }
