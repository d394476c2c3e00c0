"""Pictures with coloured shapes on them, described as four competitions, each with a model of one's own.

All share the images: masks of three classes in a row each, instances of the same classes in one cell, a
keypoint, and a word. The models lie in `drawn_models`; nobody has to train them.
"""

import csv
import json

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

CLASSES = ("disc", "square", "bar")
COLOURS = ((200, 60, 60), (60, 180, 60), (60, 80, 210))
SIDE = (80, 96)

TOML = """
name = "{name}"
slug = "{name}"
kind = "{kind}"
{classes}

[images]
train = "train/{{id}}"             # ids end with .png in all tables
test = "test/{{id}}"
format = "png"

"""
SHAPES = (
    TOML
    + """
[truth]
form = "text"
file = "shapes.csv"
solution = "shapes_solution.csv"
id = "image"
class_column = "class"
mask = "pixels"
unlisted = "empty"

[submission]
id = "image"
class_column = "class"
mask = "pixels"
sample = "shapes_sample.csv"

[metric]
name = "mean Dice"
"""
)
OBJECTS = (
    TOML
    + """
[truth]
form = "text"
rows = "object"
file = "objects.csv"
solution = "objects_solution.csv"
id = "image"
class_column = "class"
mask = "pixels"
unlisted = "empty"

[submission]
id = "image"
mask = "found"
encoding = "coco"
sample = "objects_sample.csv"

[metric]
name = "AP"
iou = 0.5
"""
)
POINTS = (
    TOML
    + """
[truth]
form = "table"
file = "points.csv"
solution = "points_solution.csv"
id = "image"

[submission]
id = "image"
sample = "points_sample.csv"

[metric]
name = "RMSE"
"""
)
WORDS = (
    TOML
    + """
[truth]
form = "table"
file = "words.csv"
solution = "words_solution.csv"
id = "image"

[submission]
id = "image"
sample = "words_sample.csv"

[metric]
name = "accuracy"
"""
)
_NAMED = 'classes = ["disc", "square", "bar"]'
DEFINITIONS = {
    "shapes": SHAPES.format(name="shapes", kind="semantic", classes=_NAMED),
    "objects": OBJECTS.format(name="objects", kind="instance", classes=_NAMED),
    "points": POINTS.format(name="points", kind="values", classes='targets = ["x", "y"]'),
    "words": WORDS.format(name="words", kind="values", classes='targets = ["largest"]\n' + _NAMED),
}


def drawn(random):
    """One picture, uint8 (H, W, 3), and its objects: (class, mask)."""
    height, width = SIDE
    image = np.full((height, width, 3), 225, np.uint8)
    objects, taken = [], np.zeros(SIDE, np.uint8)
    for number in range(3 + random.integers(4)):
        kind = number if number < 3 else int(random.integers(3))
        for _ in range(40):
            mask, size = np.zeros(SIDE, np.uint8), int(random.integers(6, 11))
            x, y = int(random.integers(14, width - 14)), int(random.integers(14, height - 14))
            if kind == 0:
                cv2.circle(mask, (x, y), size, 1, -1)
            elif kind == 1:
                cv2.rectangle(mask, (x - size, y - size), (x + size, y + size), 1, -1)
            else:
                cv2.rectangle(mask, (x - 13, y - 4), (x + 13, y + 4), 1, -1)
            if not (cv2.dilate(mask, np.ones((5, 5))) & taken).any():
                taken |= mask
                objects.append((kind, mask.astype(bool)))
                image[mask > 0] = COLOURS[kind]
                break
    noise = random.normal(0, 9, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), objects


def runs(mask):
    """Start and length, counted from 1 down the columns."""
    padded = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(padded)) + 1
    return " ".join(f"{start} {end - start}" for start, end in zip(edges[::2], edges[1::2], strict=True))


def table(path, *rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def write(folder, train=12, test=4):
    """Images, tables, definitions, models and weights of two folds of each competition."""
    random, data = np.random.default_rng(7), folder / "data"
    for part, count, suffix in (("train", train, ""), ("test", test, "_solution")):
        (data / part).mkdir(parents=True)
        shapes, objects = [["image", "class", "pixels"]], [["image", "class", "pixels"]]
        points, words, ids = [["image", "x", "y"]], [["image", "largest"]], []
        for number in range(count):
            name = f"{part} {number}.png"
            image, found = drawn(random)
            cv2.imwrite(str(data / part / name), image[..., ::-1])
            ids.append(name)
            for kind, word in enumerate(CLASSES):
                masks = [mask for label, mask in found if label == kind]
                if masks:
                    shapes.append([name, word, runs(np.any(masks, axis=0))])
                objects += [[name, word, runs(mask)] for mask in masks]
            areas = [sum(mask.sum() for label, mask in found if label == kind) for kind in range(3)]
            rows, columns = np.nonzero(np.any([mask for label, mask in found if label == 0], axis=0))
            points.append([name, columns.mean(), rows.mean()])
            words.append([name, CLASSES[int(np.argmax(areas))]])
        for table_name, rows in (
            ("shapes", shapes),
            ("objects", objects),
            ("points", points),
            ("words", words),
        ):
            table(data / f"{table_name}{suffix}.csv", *rows)
    table(
        data / "shapes_sample.csv", ["image", "class", "pixels"], *[[n, c, ""] for n in ids for c in CLASSES]
    )
    table(data / "objects_sample.csv", ["image", "found"], *[[name, ""] for name in ids])
    table(data / "points_sample.csv", ["image", "x", "y"], *[[name, 0.5, 0.5] for name in ids])
    table(data / "words_sample.csv", ["image", "largest"], *[[name, "disc"] for name in ids])
    for name, text in DEFINITIONS.items():
        (folder / f"{name}.toml").write_text(text)

    write_weights(folder)


def write_weights(folder):
    """Weights of two folds of each model: the colours, a little off in another way for each fold."""
    random = np.random.default_rng(11)
    for fold in range(2):
        colours = np.float32(COLOURS) + random.normal(0, 4, (3, 3)).astype(np.float32)
        known = torch.tensor(np.concatenate([[[225, 225, 225]], colours]), dtype=torch.float32) / 255
        # The nearest colour: -|x - c|^2 is 2 x c - |c|^2 beside what all classes have.
        layer = {"layer.weight": 30 * known[:, :, None, None], "layer.bias": -15 * (known**2).sum(1)}
        save_file(layer, folder / f"masks{fold}.safetensors")
        (folder / f"objects{fold}.json").write_text(json.dumps({"colours": colours.tolist()}))
        np.savez(folder / f"place{fold}.npz", colour=colours[0], width=40 + 20 * fold)
        torch.save({"colours": torch.from_numpy(colours)}, folder / f"largest{fold}.pth")
