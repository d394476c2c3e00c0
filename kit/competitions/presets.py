"""The competitions that the kit knows by name, with the same keys as a TOML file.

Facts without a comment come from the competitions' pages or the winners' public code.
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
        # No table of this competition says it; the next competition gives 0.5 for kidneys of this source.
        "pixel_size": 0.5,
    },
}
"""HuBMAP - Hacking the Kidney (2021): glomeruli in gigapixel slides."""

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
        # For rows without a pixel size: the values that the second place used.
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
    # About 550 images, says the first place's README. Nobody knows their sizes: 160 to 4500 pixels per side.
    "hidden_images": 550,
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
        # A detection in a glomerulus or an unsure region counts as wrong. The page says so for glomeruli.
        # Nothing is known about unsure regions; `ignored = ["unsure"]` leaves detections there unjudged.
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
    # About 650 tiles of 512 x 512 pixels, say teams that took part.
    "hidden_images": 650,
    "hidden_megapixels": 170.4,
}
"""HuBMAP - Hacking the Human Vasculature (2023): blood vessels in kidney tiles."""

PRESETS: dict[str, dict[str, Any]] = {preset["name"]: preset for preset in (KIDNEY, BODY, VASCULATURE)}
"""All presets by name."""
