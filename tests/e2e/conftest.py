"""Competitions the kit has no sample of, cut from the samples' tissue: organs, pixel sizes, a TOML file."""

import csv
import json
from pathlib import Path

import cv2
import pytest
import tifffile

from kit.competitions import get
from kit.images.slide import open_slide
from kit.local.competitions.labelled import LabelledData
from kit.masks import rle
from tests.once import once
from train_local.data.mask_bands import MaskBands

SAMPLE = Path(__file__).parents[2] / "sample"
SIDE = (192, 224)
"""Rows and columns of a piece at its source's resolution."""


def pieces():
    """Pieces of the kidney sample with their masks: (slide, image_HWC, mask_HW)."""
    kidney, data = get("kidney"), SAMPLE / "kidney"
    truth = LabelledData(kidney, data).truth(["1008", "1019", "1015"])
    for slide_id, split in (("1008", "train"), ("1019", "train"), ("1015", "test")):
        with open_slide(kidney.image_path(data, slide_id, split)) as slide:
            image_HWC = slide.read_band(0, slide.height)
        mask_HW = MaskBands(truth[slide_id]).band(0, len(image_HWC)) > 0
        for top in range(0, len(image_HWC) - SIDE[0], SIDE[0]):
            for left in range(0, image_HWC.shape[1] - SIDE[1], SIDE[1]):
                area = (slice(top, top + SIDE[0]), slice(left, left + SIDE[1]))
                yield slide_id, image_HWC[area], mask_HW[area]


def table(path: Path, *rows) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


@pytest.fixture(scope="session")
def body(tmp_path_factory):
    """The body competition: two organs at 0.4 um to learn from; at 0.4, 0.8 and no um known to predict."""
    name = "hubmap-organ-segmentation"
    return once(tmp_path_factory, "body", lambda folder: write_body(folder / name)) / name


def write_body(data):
    for part in ("train_images", "test_images", "train_annotations"):
        (data / part).mkdir(parents=True)
    known = ["id", "organ", "data_source", "img_height", "img_width", "pixel_size"]
    train, test, solution = [[*known, "rle"]], [known], [["id", "rle"]]
    for number, (slide_id, image_HWC, mask_HW) in enumerate(pieces()):
        organ = ("kidney", "lung")[number % 2]
        if slide_id == "1015" and len(test) <= 6:
            shrunk = (2, 1, 1)[number % 3]
            size = (SIDE[1] // shrunk, SIDE[0] // shrunk)
            small_HWC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
            small_HW = mask_HW[::shrunk, ::shrunk]
            pixel_size = "" if number % 3 == 2 else 0.4 * shrunk
            test.append([f"t{number}", organ, "Hubmap", *small_HW.shape, pixel_size])
            solution.append([f"t{number}", rle.to_kaggle(rle.encode(small_HW))])
            tifffile.imwrite(data / "test_images" / f"t{number}.tiff", small_HWC, photometric="rgb")
        elif slide_id != "1015" and number % 2 == 0 and len(train) <= 40:
            organ = ("kidney", "lung")[len(train) % 2]
            encoding = rle.to_kaggle(rle.encode(mask_HW))
            train.append([str(number), organ, "HPA", *mask_HW.shape, 0.4, encoding])
            tifffile.imwrite(data / "train_images" / f"{number}.tiff", image_HWC, photometric="rgb")
    table(data / "train.csv", *train)
    table(data / "test.csv", *test)
    table(data / "solution.csv", *solution)
    table(data / "sample_submission.csv", ["id", "rle"], *[[row[0], ""] for row in test[1:]])


CELLS = """
name = "cells"
slug = "cell-instances"
kind = "instance"

[images]
train = "train/{id}/image.tif"
test = "test/{id}/image.tif"

[truth]
form = "polygons"
file = "annotations.jsonl"
solution = "held_out.jsonl"
scored = ["cell"]

[submission]
id = "image"
mask = "prediction"
label = "cell"
encoding = "coco"

[metric]
name = "AP"
iou = [0.5, 0.6]
"""


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    """A competition only its TOML file knows: vessels called cells, in folders and columns of their own."""
    return once(tmp_path_factory, "cells", write_cells)


def write_cells(folder):
    (folder / "cells.toml").write_text(CELLS)
    data, source = folder / "data", SAMPLE / "vasculature"
    drawn = {}
    for name in ("polygons.jsonl", "solution.jsonl"):
        for line in (source / name).read_text().splitlines():
            value = json.loads(line)
            drawn[value["id"]] = [
                {**item, "type": "cell"} for item in value["annotations"] if item["type"] == "blood_vessel"
            ]
    for part, count, listing in (("train", 10, "annotations.jsonl"), ("test", 3, "held_out.jsonl")):
        lines = []
        for path in [path for path in sorted((source / part).iterdir()) if drawn.get(path.stem)][:count]:
            place = data / part / path.stem / "image.tif"
            place.parent.mkdir(parents=True)
            place.write_bytes(path.read_bytes())
            lines.append(json.dumps({"id": path.stem, "annotations": drawn[path.stem]}))
        (data / listing).write_text("\n".join(lines) + "\n")
        if part == "test":
            rows = [[json.loads(line)["id"], ""] for line in lines]
            table(data / "sample_submission.csv", ["image", "prediction"], *rows)
