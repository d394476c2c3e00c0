"""Writes the folder a definition describes, with encoders of its own: plain loops and pycocotools."""

import base64
import csv
import json
import zlib
from itertools import groupby

import cv2
import numpy as np
import tifffile
from pycocotools import mask as coco_api

from kit.competitions.images_format import SUFFIXES

HEIGHT, WIDTH = 20, 24
RECTANGLES = {  # left, top, right, bottom; far ends included
    "a": [(1, 2, 6, 9), (10, 4, 20, 15)],
    "b": [(0, 0, 4, 4)],
    "c": [(3, 3, 9, 17), (15, 0, 23, 19)],
    "d": [],
}
TRAIN, TEST = ("a", "b"), ("c", "d")


def instances(image_id):
    masks_HW = []
    for left, top, right, bottom in RECTANGLES[image_id]:
        mask_HW = np.zeros((HEIGHT, WIDTH), bool)
        mask_HW[top : bottom + 1, left : right + 1] = True
        masks_HW.append(mask_HW)
    return masks_HW


def foreground(image_id):
    return np.any([np.zeros((HEIGHT, WIDTH), bool), *instances(image_id)], axis=0)


def text_of(mask_HW, form):
    """A mask as a cell says it, one pixel after another."""
    if not mask_HW.any():
        return form.empty
    if form.encoding == "coco":
        counts = coco_api.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"]
        return base64.b64encode(zlib.compress(counts)).decode()
    numbers, length = [], 0
    pixels = mask_HW.T if form.order == "columns" else mask_HW
    for position, pixel in enumerate([*pixels.reshape(-1).tolist(), False]):
        if pixel:
            length += 1
        elif length:
            numbers += [position - length + form.first, length]
            length = 0
    return " ".join(map(str, numbers))


def mask_of(text, form):
    """Return the mask that a text encodes."""
    if form.encoding == "coco" and text not in ("", form.empty):
        counts = zlib.decompress(base64.b64decode(text))
        return coco_api.decode({"size": [HEIGHT, WIDTH], "counts": counts}).astype(bool)
    flat = [False] * (HEIGHT * WIDTH)
    numbers = [] if text == form.empty else list(map(int, text.split()))
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for position in range(start, start + length):
            flat[position - form.first] = True
    if form.order == "rows":
        return np.array(flat).reshape(HEIGHT, WIDTH)
    return np.array(flat).reshape(WIDTH, HEIGHT).T


def write(root, definition):
    """Two training images and two to predict, their truth where the definition has a place for it."""
    for split, ids in (("train", TRAIN), ("test", TEST)):
        for image_id in ids:
            path = below(root, getattr(definition.images, split), image_id)
            assert path.suffix in SUFFIXES
            tifffile.imwrite(path, np.full((HEIGHT, WIDTH, 3), 200, np.uint8), photometric="rgb")
    write_truth(root, definition, definition.truth.file, TRAIN)
    if definition.truth.solution:
        write_truth(root, definition, definition.truth.solution, TEST)
    write_metadata(root, definition)
    form = definition.submission
    sizes = {form.height: HEIGHT, form.width: WIDTH, form.mask: form.empty}
    rows = [{**sizes, form.id: image_id} for image_id in TEST]
    table(
        root / "sample_submission.csv",
        definition.columns,
        [[row[name] for name in definition.columns] for row in rows],
    )


def write_truth(root, definition, place, ids):
    truth = definition.truth
    if truth.form == "text":
        rows = []
        for image_id in ids:
            masks = [foreground(image_id)] if definition.kind == "semantic" else instances(image_id)
            rows += [(image_id, text_of(mask_HW, truth)) for mask_HW in masks]
        table(root / place, (truth.id, truth.mask), rows)
        return
    if truth.form == "coco":
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(json.dumps(coco_file(truth, ids)))
        return
    drawn = {image_id: [annotation(box, truth) for box in RECTANGLES[image_id]] for image_id in ids}
    for kind in truth.ignored:
        drawn[ids[0]].append({"type": kind, "coordinates": [[[21, 0], [23, 0], [23, 2], [21, 2]]]})
    if truth.form == "polygons" and "{id}" not in place:
        lines = [json.dumps({"id": image_id, "annotations": drawn[image_id]}) for image_id in ids]
        (root / place).write_text("\n".join(lines) + "\n")
        return
    for image_id in ids:
        path = below(root, place, image_id)
        if truth.form == "polygons":
            path.write_text(json.dumps([ring for item in drawn[image_id] for ring in item["coordinates"]]))
        else:
            label_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
            for number, mask_HW in enumerate(instances(image_id), start=1):
                label_HW[mask_HW] = number
            assert cv2.imwrite(str(path), label_HW)


def annotation(box, truth):
    left, top, right, bottom = box
    ring = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"type": truth.scored[0] if truth.scored else "", "coordinates": [ring]}


def coco_file(truth, ids):
    """Every box in another of the three spellings; a crowd and an ignored region where nothing is."""
    names = ["other", *truth.scored, *truth.ignored]
    annotations = []

    def add(number, segmentation, category, crowd=0):
        item = {"image_id": number, "category_id": names.index(category), "iscrowd": crowd}
        annotations.append({**item, "id": len(annotations), "segmentation": segmentation, "area": 1})

    for number, image_id in enumerate(ids):
        for box, mask_HW in zip(RECTANGLES[image_id], instances(image_id), strict=True):
            left, top, right, bottom = box
            polygon = [left, top, right + 1, top, right + 1, bottom + 1, left, bottom + 1]
            packed = coco_api.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"].decode()
            lengths = [len(list(run)) for _, run in groupby([False, *mask_HW.T.reshape(-1).tolist()])]
            lengths[0] -= 1
            size = [HEIGHT, WIDTH]
            spellings = [[polygon], {"size": size, "counts": packed}, {"size": size, "counts": lengths}]
            add(number, spellings[len(annotations) % 3], truth.scored[0] if truth.scored else "other")
    corner = [[21, 0, 24, 0, 24, 3, 21, 3]]
    for category in truth.ignored:
        add(0, corner, category)
    if truth.ignored:
        add(0, corner, truth.scored[0], crowd=1)
    images = [
        {"id": number, "file_name": f"{image_id}.png", "height": HEIGHT, "width": WIDTH}
        for number, image_id in enumerate(ids)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def write_metadata(root, definition):
    metadata, columns = definition.metadata, definition.metadata.columns
    values = {"organ": "colon", "source": "north", "pixel_size": 0.5, "height": HEIGHT, "width": WIDTH}
    values["group"] = "patient 1"
    cells = {getattr(columns, key): value for key, value in values.items() if getattr(columns, key)}
    tables = {}
    for name, ids in ((metadata.train, TRAIN), (metadata.test, TEST)):
        tables[name] = (*tables.get(name, ()), *ids)
    for name, ids in tables.items():
        if name.endswith(".json"):
            (root / name).write_text(json.dumps(dict.fromkeys(ids, cells)))
        elif name:
            rows = [{metadata.id: image_id, **cells} for image_id in ids]
            if name == definition.truth.file:  # both in one table
                for row in rows:
                    row[definition.truth.mask] = text_of(foreground(row[metadata.id]), definition.truth)
            table(root / name, list(rows[0]), [list(row.values()) for row in rows])


def below(root, pattern, image_id):
    path = root / pattern.replace("{id}", image_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def table(path, header, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
