"""The golden answer by plain loops: `nox -s golden -- --make expected` writes `<competition>/expected.csv`.

Nothing of `kit` but the networks' forward pass is used: images come from tifffile, run lengths and box fusion
are loops over single pixels and boxes, masks are coded by pycocotools. So it can only agree with the engine
if both do what `ensemble.json` says.
"""

from __future__ import annotations

import base64
import csv
import itertools
import json
import math
import zlib
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch
from pycocotools import mask as coco

from kit import models

HERE = Path(__file__).parent

# View -> how an image (rows, columns first) is shown, and how a shown one is turned back.
VIEWS = {
    "identity": (lambda a: a, lambda a: a),
    "hflip": (np.fliplr, np.fliplr),
    "vflip": (np.flipud, np.flipud),
    "rot90": (np.rot90, lambda a: np.rot90(a, -1)),
    "rot270": (lambda a: np.rot90(a, -1), np.rot90),
    "transverse": (lambda a: np.rot90(np.swapaxes(a, 0, 1), 2), lambda a: np.rot90(np.swapaxes(a, 0, 1), 2)),
}


def read_image(path):
    """RGB, rows x columns x 3."""
    image = np.squeeze(tifffile.imread(path))
    return np.moveaxis(image, 0, -1) if image.shape[0] == 3 else image


def open_network(folder, member):
    network = models.build(member["network"])
    models.load_weights(network, folder / "weights" / member["weights"])
    return network.eval()


def mirrored(position, size):
    """Into 0..size by reflection at the border pixels, as often as needed."""
    while not 0 <= position < size:
        if size == 1:
            return 0
        position = -position if position < 0 else 2 * (size - 1) - position
    return position


def bilinear(grid, size):
    """A square grid enlarged to size x size; pixel centres at half numbers, borders continued."""
    small = len(grid)
    places = [min(max((index + 0.5) * small / size - 0.5, 0), small - 1) for index in range(size)]
    low = [int(place) for place in places]
    high = [min(index + 1, small - 1) for index in low]
    part = np.array([place - index for place, index in zip(places, low, strict=True)])
    rows = grid[low] * (1 - part)[:, None] + grid[high] * part[:, None]
    return rows[:, low] * (1 - part)[None] + rows[:, high] * part[None]


def shows_tissue(window):
    """Whether any pixel is coloured, or neither bright nor black; for images whose glass is one grey."""
    low, high = window.min(axis=2).astype(int), window.max(axis=2).astype(int)
    glass = (low >= 210) & (high - low <= 25)
    return not (glass | (high <= 10)).all()


def probability_map(network, settings, image, view):
    show, turn_back = VIEWS[view]
    height, width = image.shape[:2]
    core, context = settings["core"], settings["context"]
    window = core + 2 * context
    size = math.floor(window * settings["scale"] + 0.5)
    result = np.zeros((height, width))
    for top in range(0, height, core):
        for left in range(0, width, core):
            rows = [mirrored(top - context + index, height) for index in range(window)]
            columns = [mirrored(left - context + index, width) for index in range(window)]
            shown = image[rows][:, columns]
            if settings.get("skip_background") and not shows_tissue(shown):
                continue
            seen = cv2.resize(shown, (size, size), interpolation=cv2.INTER_AREA)
            x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(show(seen), -1, 0)))[None]
            with torch.no_grad():
                logit = network(x)[0, 0].double().numpy()
            probability = bilinear(turn_back(1 / (1 + np.exp(-logit))), window)
            bottom, right = min(top + core, height), min(left + core, width)
            result[top:bottom, left:right] = probability[
                context : context + bottom - top, context : context + right - left
            ]
    return result


def runs_text(mask):
    """Column-major, one-based "start length" pairs, pixel by pixel."""
    pairs, before = [], False
    for position, inside in enumerate(mask.T.reshape(-1).tolist(), start=1):
        if inside and not before:
            pairs.append([position, 0])
        if inside:
            pairs[-1][1] += 1
        before = inside
    return " ".join(f"{start} {length}" for start, length in pairs)


def semantic_row(folder, plan, networks, image_id):
    image, rung = read_image(folder / "data" / "test" / f"{image_id}.tiff"), plan["rungs"][-1]
    total, weight_sum = 0.0, 0.0
    for step, weight in zip(plan["passes"], rung["weights"], strict=True):
        settings = plan["members"][step["member"]]["inference"]
        total = total + weight * probability_map(networks[step["member"]], settings, image, step["view"])
        weight_sum += weight
    mask = total / weight_sum >= rung["settings"]["threshold"]
    return {"id": image_id, "predicted": runs_text(mask)}


def resized(array, height, width):
    if array.shape[:2] == (height, width):
        return array
    smaller = height <= array.shape[0] and width <= array.shape[1]
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def box_turned_back(view, box, height, width):
    """Where a box of the shown image lies: its corners on a finely drawn map of positions."""
    shown_height, shown_width = VIEWS[view][0](np.zeros((height, width), bool)).shape
    x1, y1, x2, y2 = box
    corners = []
    for x, y in ((x1, y1), (x2, y2)):
        if view == "hflip":
            corners.append((shown_width - x, y))
        elif view == "vflip":
            corners.append((x, shown_height - y))
        elif view == "rot90":  # shown row r is image column width - r
            corners.append((shown_height - y, x))
        elif view == "rot270":  # shown column c is image row height - c
            corners.append((y, shown_width - x))
        else:
            assert view == "identity"
            corners.append((x, y))
    (xa, ya), (xb, yb) = corners
    return [min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)]


def detections(network, settings, image, view):
    """A list of {score, box, mask} in the image's pixels, best first."""
    show, turn_back = VIEWS[view]
    height, width = image.shape[:2]
    ratio = settings["size"] / max(height, width)
    seen_height, seen_width = math.floor(height * ratio + 0.5), math.floor(width * ratio + 0.5)
    seen = resized(image, seen_height, seen_width)
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(show(seen), -1, 0)))[None]
    with torch.no_grad():
        found = network.detect(x)[0]
    result = []
    for score, shown_box, shown_mask in zip(
        found.scores.tolist(), found.boxes.tolist(), found.masks, strict=True
    ):
        box = box_turned_back(view, shown_box, seen_height, seen_width)
        box = [
            side * scale
            for side, scale in zip(box, [width / seen_width, height / seen_height] * 2, strict=True)
        ]
        box = [min(max(side, 0), limit) for side, limit in zip(box, [width, height] * 2, strict=True)]
        covered = resized(turn_back(shown_mask.numpy()).astype(np.float32), height, width)
        mask = covered >= settings["mask_threshold"]
        if score >= settings["score_threshold"] and box[0] < box[2] and box[1] < box[3] and mask.any():
            result.append({"score": score, "box": box, "mask": mask})
    result.sort(key=lambda item: -item["score"])
    return result[: settings["max_per_image"]]


def overlap(a, b):
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(high, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def suppressed(found, settings):
    """NMS over the detections of all views of one member."""
    kept = []
    for item in sorted(found, key=lambda item: -item["score"]):
        if all(overlap(item["box"], other["box"]) <= settings["nms_iou"] for other in kept):
            kept.append(item)
    return kept[: settings["max_per_image"]]


def fused(members, weights, settings):
    """Weighted boxes fusion; every cluster knows the masks in it."""
    queue = [
        (weight * item["score"], item)
        for found, weight in zip(members, weights, strict=True)
        for item in found
        if item["score"] >= settings["skip_score"]
    ]
    queue.sort(key=lambda entry: -entry[0])
    clusters = []
    for entry in queue:
        best = max(clusters, key=lambda cluster: overlap(cluster["box"], entry[1]["box"]), default=None)
        if best is None or overlap(best["box"], entry[1]["box"]) <= settings["iou"]:
            best = {"entries": []}
            clusters.append(best)
        best["entries"].append(entry)
        confidence = sum(score for score, _ in best["entries"])
        best["box"] = [
            sum(score * item["box"][side] for score, item in best["entries"]) / confidence
            for side in range(4)
        ]
        count = len(best["entries"])
        best["score"] = confidence / count * min(len(members), count) / sum(weights)
    return sorted(clusters, key=lambda cluster: -cluster["score"])


def neighbourhood(mask, reach, take):
    """Any or all of the square around each pixel, as far as it is in the image."""
    result = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)  # further away than `reach` from all of them nothing can become true
    for y, x in {
        (y + up, x + aside)
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
        for up, aside in itertools.product(range(-reach, reach + 1), repeat=2)
    }:
        if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
            result[y, x] = take(mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1])
    return result


def fused_mask(cluster, settings):
    votes = sum(item["mask"].astype(int) for _, item in cluster["entries"])
    mask = votes >= max(1, int(settings["vote_fraction"] * len(cluster["entries"])))
    x1, y1, x2, y2 = cluster["box"]
    mask[: math.floor(y1)] = mask[math.ceil(y2) :] = False
    mask[:, : math.floor(x1)] = mask[:, math.ceil(x2) :] = False
    if settings["morphology"] == "closing":
        reach = settings["morphology_size"] // 2
        mask = neighbourhood(neighbourhood(mask, reach, np.any), reach, np.all)
    return mask


def instance_row(folder, plan, networks, image_id):
    image = read_image(folder / "data" / "test" / f"{image_id}.tif")
    rung = plan["rungs"][-1]
    settings = rung["settings"]
    assert settings["morphology"] in ("none", "closing")
    assert settings["overlap"] == "keep"
    merged, weights = [], []
    for index, member in enumerate(plan["members"]):
        steps = [
            (step, weight)
            for step, weight in zip(plan["passes"], rung["weights"], strict=True)
            if step["member"] == index
        ]
        found = [
            item
            for step, _ in steps
            for item in detections(networks[index], member["inference"], image, step["view"])
        ]
        merged.append(suppressed(found, member["inference"]))
        weights.append(sum(weight for _, weight in steps) / len(steps))
    words = []
    for cluster in fused(merged, weights, settings):
        mask = fused_mask(cluster, settings)
        if mask.sum() >= settings["min_area"] and cluster["score"] >= settings["min_score"]:
            counts = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
            words += [
                "0",
                f"{min(cluster['score'], 1):.6f}",
                base64.b64encode(zlib.compress(counts, 9)).decode(),
            ]
    height, width = image.shape[:2]
    return {"id": image_id, "height": height, "width": width, "prediction_string": " ".join(words)}


def write_expected(folder, target):
    """Predict one golden folder's test images in the order of its sample submission."""
    plan = json.loads((folder / "ensemble.json").read_text())
    networks = [open_network(folder, member) for member in plan["members"]]
    with (folder / "data" / "sample_submission.csv").open(newline="") as table:
        ids = [row["id"] for row in csv.DictReader(table)]
    make_row = semantic_row if plan["kind"] == "semantic" else instance_row
    rows = [make_row(folder, plan, networks, image_id) for image_id in ids]
    with target.open("w", newline="") as table:
        writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def make():
    """Write the expected submissions of both golden ensembles."""
    torch.set_num_threads(1)
    for name in ("kidney", "vasculature"):
        write_expected(HERE / name, HERE / name / "expected.csv")
        print(f"wrote {name}/expected.csv")
