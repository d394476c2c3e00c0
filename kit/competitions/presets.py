"""The competitions the kit knows by name, each a definition as a TOML file could give it.

Facts without a remark stand in the competitions' own pages or in the winners' public code.
"""

from __future__ import annotations

from typing import Any

KIDNEY: dict[str, Any] = {
    "name": "kidney",
    "slug": "hubmap-kidney-segmentation",
    "kind": "semantic",
    "images": {"train": "train/{id}.tiff", "test": "test/{id}.tiff"},
    "truth": {"form": "text", "file": "train.csv", "solution": "solution.csv", "mask": "encoding"},
    "submission": {"mask": "predicted"},
    "metric": {"name": "mean Dice"},
    "metadata": {
        "train": "HuBMAP-20-dataset_information.csv",
        "test": "HuBMAP-20-dataset_information.csv",
        "id": "image_file",
        "columns": {"height": "height_pixels", "width": "width_pixels"},
        "organ": "kidney",
        "source": "Hubmap",
        # No table of this competition tells; the next one gives 0.5 for kidneys of the same source.
        "pixel_size": 0.5,
    },
}
"""HuBMAP - Hacking the Kidney (2021): glomeruli in slides of gigapixels."""

BODY: dict[str, Any] = {
    "name": "body",
    "slug": "hubmap-organ-segmentation",
    "kind": "semantic",
    "images": {"train": "train_images/{id}.tiff", "test": "test_images/{id}.tiff"},
    "truth": {"form": "text", "file": "train.csv", "solution": "solution.csv", "mask": "rle"},
    "submission": {"mask": "rle"},
    "metric": {"name": "mean Dice"},
    "metadata": {
        "train": "train.csv",
        "test": "test.csv",
        "columns": {
            "organ": "organ",
            "source": "data_source",
            "pixel_size": "pixel_size",
            "height": "img_height",
            "width": "img_width",
        },
        # Where a row does not tell: what the second place used.
        "pixel_sizes": {
            "HPA/kidney": 0.4,
            "HPA/prostate": 0.4,
            "HPA/largeintestine": 0.4,
            "HPA/spleen": 0.4,
            "HPA/lung": 0.4,
            "Hubmap/kidney": 0.5,
            "Hubmap/prostate": 6.263,
            "Hubmap/largeintestine": 0.229,
            "Hubmap/spleen": 0.4945,
            "Hubmap/lung": 0.7562,
        },
    },
    "marks": ["train_annotations"],
}
"""HuBMAP + HPA - Hacking the Human Body (2022): functional tissue units of five organs."""

VASCULATURE: dict[str, Any] = {
    "name": "vasculature",
    "slug": "hubmap-hacking-the-human-vasculature",
    "kind": "instance",
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {
        "form": "polygons",
        "file": "polygons.jsonl",
        "solution": "solution.jsonl",
        # A detection in a glomerulus or an unsure region counts as wrong: the page says so of glomeruli; of
        # unsure regions nothing is known, and `ignored = ["unsure"]` is the other way to read it.
        "scored": ["blood_vessel"],
    },
    "submission": {
        "mask": "prediction_string",
        "height": "height",
        "width": "width",
        "label": "0",
        "encoding": "coco",
    },
    "metric": {"name": "AP", "iou": 0.6},
    "metadata": {
        "train": "tile_meta.csv",
        "columns": {"source": "dataset", "group": "source_wsi"},
        "organ": "kidney",
    },
    "marks": ["wsi_meta.csv"],
}
"""HuBMAP - Hacking the Human Vasculature (2023): blood vessels in tiles of kidney."""

PRESETS: dict[str, dict[str, Any]] = {preset["name"]: preset for preset in (KIDNEY, BODY, VASCULATURE)}
"""By name."""
