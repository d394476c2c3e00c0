"""Rules across the keys of a definition: each is broken once, in a definition that is right otherwise."""

import copy
import re

import pytest

from kit.competitions import rules
from kit.competitions.parsing import parse
from kit.errors import KitError

MASKS = {
    "name": "own",
    "slug": "own-slug",
    "kind": "semantic",
    "images": {"train": "train/{id}.tiff", "test": "test/{id}.tiff"},
    "truth": {"form": "text", "file": "train.csv", "mask": "rle"},
    "submission": {"mask": "rle"},
    "metric": {"name": "mean Dice"},
}
CLASSES = {**MASKS, "classes": ["gas", "dust"]}
CLASSES["truth"] = CLASSES["submission"] = {"class_column": "kind", "mask": "rle"}
CLASSES["truth"] = {**MASKS["truth"], "class_column": "kind"}
OBJECTS = {
    **MASKS,
    "kind": "instance",
    "truth": {"form": "polygons", "file": "polygons.jsonl"},
    "submission": {"mask": "prediction", "encoding": "coco"},
    "metric": {"name": "AP", "iou": 0.6},
}
BOXES = {
    **OBJECTS,
    "truth": {
        "form": "boxes",
        "file": "train.csv",
        "id": "image",
        "box": "{xmin} {ymin} {width} {height}",
        "columns": ["x", "y", "w", "h"],
    },
    "submission": {"mask": "boxes", "instance": "{score} {xmin} {ymin} {width} {height}"},
}
KINDS = {
    **OBJECTS,
    "classes": ["cell", "debris"],
    "submission": {**OBJECTS["submission"], "labels": ["1", "2"]},
}
VALUES = {
    **MASKS,
    "kind": "values",
    "targets": ["age", "weight"],
    "truth": {"form": "table", "file": "train.csv"},
    "submission": {"value": "{class}"},
    "metric": {"name": "RMSE"},
}
WORDS = {**VALUES, "classes": ["low", "high"], "targets": ["risk"], "metric": {"name": "accuracy"}}
REMOVE = object()


def changed(base, changes):
    value = copy.deepcopy(base)
    for key, new in changes.items():
        *tables, last = key.split(".")
        place = value
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = new
        if new is REMOVE:
            del place[last]
    return value


def check(base, changes):
    rules.check(parse(changed(base, changes)), where="own.toml")


@pytest.mark.parametrize("base", [MASKS, CLASSES, OBJECTS, KINDS, VALUES, WORDS])
def test_definitions_that_are_right_pass(base):
    check(base, {})


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        (MASKS, {"metric": {"name": None, "file": "metric.py", "higher_is_better": True}}),
        (MASKS, {"truth.rows": "object"}),
        (MASKS, {"truth.form": "images", "truth.file": "masks/{id}.png"}),
        (CLASSES, {"truth.class_column": REMOVE, "truth.mask": "{class}_rle"}),
        (CLASSES, {"submission.class_column": REMOVE, "submission.mask": "{class}_rle"}),
        (CLASSES, {"truth.form": "images", "truth.file": "masks/{id}.png", "truth.class_column": REMOVE}),
        (CLASSES, {"truth.class_column": REMOVE, "truth.row_id": "{id}_{class}"}),
        (OBJECTS, {"submission.instance": "{score} {xmin} {ymin} {width} {height}"}),
        (OBJECTS, {"submission.rows": "object", "submission.score": "score"}),
        (OBJECTS, {"metric": {"name": "F-beta", "iou": [0.5, 0.75]}}),
        (KINDS, {"submission.rows": "object", "submission.class_column": "kind"}),
        (VALUES, {"submission.class_column": "target", "submission.value": "value"}),
        (VALUES, {"submission.row_id": "{id}_{class}", "submission.value": "value"}),
        (VALUES, {"targets": ["age"], "submission.value": "age"}),
        (VALUES, {"metric": {"name": "log loss", "weights": {"age": 2.0}}}),
        (VALUES, {"metric": {"name": "multi-class log loss"}}),
        (WORDS, {"metric": {"name": "quadratic kappa"}}),
    ],
)
def test_what_fits_together_in_another_way_passes(base, changes):
    check(base, changes)


BROKEN = [
    (MASKS, {"name": "my own"}, "name is 'my own', which cannot name a folder"),
    (MASKS, {"slug": "../own"}, "slug is '../own', which cannot name a folder"),
    (MASKS, {"marks": ["../other"]}, "marks"),
    (
        MASKS,
        {"submission.height": "rle", "submission.width": "w"},
        "a column is named twice: id, rle, w, rle",
    ),
    (
        MASKS,
        {"images": {"train": "train/{id}/*.dcm", "test": "test/{id}/*.dcm"}},
        "a folder of slices, but kind is",
    ),
    (CLASSES, {"classes": ["gas", "gas"]}, "classes names 'gas' twice"),
    (CLASSES, {"classes": ["gas", " dust"]}, "classes is ['gas', ' dust']"),
    (VALUES, {"targets": REMOVE}, "targets is missing"),
    (MASKS, {"targets": ["age"]}, "targets is ['age']"),
    (CLASSES, {"classes": ["gas"]}, "classes is ['gas']"),
    # How rows tell ids and classes.
    (MASKS, {"submission.row_id": "{name}"}, "submission.row_id is '{name}'"),
    (MASKS, {"truth.row_id": "{id}_{organ}"}, "truth.row_id is '{id}_{organ}'"),
    (CLASSES, {"submission.row_id": "{id}_{class}"}, "submission.class_column is 'kind', but the ids tell"),
    (MASKS, {"submission.mask": "{class}_rle"}, "classes is missing, but submission has rows or columns"),
    (CLASSES, {"submission.labels": ["1"]}, "submission.labels has 1 names, classes 2"),
    (CLASSES, {"submission.labels": ["1", "1"]}, "submission.labels names '1' twice"),
    # Truth.
    (VALUES, {"truth.form": "text", "truth.mask": "rle"}, "truth.form is 'text', but kind is 'values'"),
    (OBJECTS, {"truth.rows": "object"}, "truth.rows is for masks of whole images in a table"),
    (
        MASKS,
        {"truth.form": "coco", "truth.file": "a.json", "truth.ignored": ["a"]},
        "truth.ignored works for",
    ),
    (MASKS, {"truth": BOXES["truth"]}, "truth.form is 'boxes', but kind is 'semantic'"),
    (BOXES, {"truth.id": "{image"}, "id is '{image', whose columns cannot be read"),
    (OBJECTS, {"truth.box": "{xmin}"}, "box is for form = 'boxes', but form is 'polygons'"),
    (OBJECTS, {"truth.columns": ["x"]}, "columns is for form = 'boxes', but form is 'polygons'"),
    (BOXES, {"truth.box": "{xmin} {ymin} {xmax} {height}"}, "box is '{xmin} {ymin} {xmax} {height}'"),
    (BOXES, {"truth.box": "{xmin},{ymin},{xmax},{ymax}"}, "box is '{xmin},{ymin},{xmax},{ymax}'"),
    (BOXES, {"truth.columns": REMOVE}, "nothing tells where the boxes are"),
    (BOXES, {"truth.mask": "bbox"}, "mask and columns are both given"),
    (BOXES, {"truth.columns": ["x", "y", "w"]}, "columns has 3 names, box has 4 words"),
    (OBJECTS, {"truth.unlisted": "empty"}, "truth.unlisted is for masks and boxes in a table"),
    (KINDS, {"truth": {"form": "images", "file": "m/{id}.png"}}, "whose values number the instances"),
    (
        CLASSES,
        {"truth.class_column": REMOVE},
        "truth.class_column is missing: nothing tells the class of a mask",
    ),
    (CLASSES, {"truth.rows": "image"}, "truth.rows is 'image', but a row holds one class"),
    (
        KINDS,
        {"truth": {"form": "text", "file": "a.csv", "mask": "m"}},
        "nothing tells the class of an instance",
    ),
    # Cells of the submission.
    (MASKS, {"submission.mask": REMOVE}, "submission.mask is missing"),
    (MASKS, {"submission.overlap": False}, "submission.overlap is for instances"),
    (MASKS, {"submission.instance": "{score} {mask}"}, "submission.instance is for instances"),
    (MASKS, {"submission.rows": "object"}, "submission.rows is for instances"),
    (MASKS, {"submission.score": "score"}, "submission.score is for instances"),
    (OBJECTS, {"submission.score": "score"}, "submission.score is for rows = 'object'"),
    (KINDS, {"submission.mask": "{class}_mask"}, "submission.mask has {class} in it"),
    (VALUES, {"submission.class_column": "target"}, "submission.value is missing"),
    (
        VALUES,
        {"submission.class_column": "target", "submission.value": "v_{class}"},
        "but a row is of one class",
    ),
    (VALUES, {"submission.value": "value"}, "submission.value is 'value', one column for 2 classes"),
    # The words of an instance.
    (OBJECTS, {"submission.instance": "{scor} {mask}"}, "submission.instance has {scor} in it"),
    (OBJECTS, {"submission.instance": "{zzz} {mask}"}, "submission.instance has {zzz} in it"),
    (OBJECTS, {"submission.instance": "{score},{mask}"}, "submission.instance is '{score},{mask}'"),
    (
        OBJECTS,
        {"submission.instance": "{score} {xmin} {ymin}"},
        "submission.instance is '{score} {xmin} {ymin}'",
    ),
    (OBJECTS, {"submission.instance": "{mask} {mask}"}, "submission.instance is '{mask} {mask}'"),
    (KINDS, {"submission.instance": "{score} {mask}"}, "submission.instance has no {label}"),
    (OBJECTS, {"submission.encoding": "pairs"}, "submission.encoding is 'pairs', whose text has blanks"),
    # The metric.
    (MASKS, {"metric.name": "mean dice"}, "metric.name is 'mean dice'"),
    (MASKS, {"metric.name": "xyz"}, "metric.name is 'xyz'"),
    (MASKS, {"metric.name": "RMSE"}, "metric.name is 'RMSE', but kind is 'semantic'"),
    (OBJECTS, {"metric": {"name": "F-beta"}}, "metric.iou does not fit the kind"),
    (WORDS, {"metric.name": "AUC"}, "metric.name is 'AUC', but the targets hold words"),
    (VALUES, {"metric.weights": {"age": 2.0}}, "metric.weights is for 'log loss'"),
    (VALUES, {"metric": {"name": "log loss", "weights": {"ag": 2.0}}}, "metric.weights names 'ag'"),
    (VALUES, {"metric.name": "quadratic kappa"}, "metric.name is 'quadratic kappa', which has one target"),
    (
        VALUES,
        {"targets": ["age"], "metric": {"name": "multi-class log loss"}},
        "metric.name is 'multi-class log loss'",
    ),
    # Inside the tables.
    (MASKS, {"truth.file": ""}, "file is missing"),
    (MASKS, {"truth.file": "../train.csv"}, "file is '../train.csv'"),
    (MASKS, {"truth.file": "train/{id}.csv"}, "but masks in text and boxes are in one table"),
    (OBJECTS, {"truth": {"form": "coco", "file": "{id}.json"}}, "but a COCO file holds all images"),
    (MASKS, {"truth": {"form": "images", "file": "mask.png"}}, "but there is one mask image for each id"),
    (MASKS, {"truth.mask": ""}, "mask is missing"),
    (MASKS, {"truth.scored": ["a"]}, "scored and ignored name types of polygons"),
    (OBJECTS, {"truth.scored": ["a"], "truth.ignored": ["a"]}, "'a' is both scored and ignored"),
    (MASKS, {"submission.first": 2}, "first is 2"),
    (MASKS, {"submission.id": ""}, "id is ''"),
    (MASKS, {"submission.height": "h"}, "only one of height and width is given"),
    (MASKS, {"submission.label": "a b"}, "label is 'a b'"),
    (MASKS, {"metric": {}}, "name is missing"),
    (MASKS, {"metric.file": "metric.py"}, "file is 'metric.py', but name is 'mean Dice'"),
    (MASKS, {"metric.iou": 0.5}, "iou does not fit the metric 'mean Dice'"),
    (OBJECTS, {"metric.iou": REMOVE}, "iou does not fit the metric 'AP'"),
    (OBJECTS, {"metric.iou": 1.5}, "iou is [1.5]"),
    (OBJECTS, {"metric.iou": [0.7, 0.6]}, "iou is [0.7, 0.6]"),
    (MASKS, {"metric.higher_is_better": True}, "higher_is_better is for a metric in a file"),
    (MASKS, {"metadata.pixel_size": -0.5}, "pixel_size is -0.5"),
    (MASKS, {"metadata.columns.group": "slide"}, "columns.group needs a table of the training images"),
    (MASKS, {"metadata.columns.organ": "organ"}, "columns.organ needs a table"),
]


@pytest.mark.parametrize(("base", "changes", "problem"), BROKEN)
def test_a_rule_that_is_broken_names_its_key_and_says_what_to_do(base, changes, problem):
    with pytest.raises(KitError, match=re.escape(problem)) as caught:
        check(base, changes)
    assert caught.value.fix


def test_words_that_are_nearly_right_are_offered():
    for base, changes, offered in (
        (OBJECTS, {"submission.instance": "{scor} {mask}"}, "did you mean {score}? "),
        (MASKS, {"metric.name": "mean dice"}, "did you mean 'mean Dice'? "),
    ):
        with pytest.raises(KitError) as caught:
            check(base, changes)
        assert caught.value.fix.startswith(offered)
    with pytest.raises(KitError) as caught:
        check(MASKS, {"metric.name": "xyz"})
    assert caught.value.fix.startswith("use one of: 'mean Dice'")


@pytest.mark.parametrize(
    ("metric", "text", "sign"),
    [
        ({"name": "mean Dice"}, "mean Dice", 1),
        ({"name": "AP", "iou": 0.6}, "AP@0.6", 1),
        ({"name": "AP", "iou": [0.5, 0.95]}, "mean AP@0.5:0.95", 1),
        ({"name": "mean precision", "iou": [0.5, 0.95]}, "mean precision@0.5:0.95", 1),
        ({"name": "F-beta", "beta": 2.0, "iou": 0.5}, "F2@0.5", 1),
        ({"name": "RMSE"}, "RMSE", -1),
        ({"name": None, "file": "own.py", "higher_is_better": False}, "own.py", -1),
    ],
)
def test_a_metric_has_a_name_and_a_direction(metric, text, sign):
    made = parse({**MASKS, "metric": metric}).metric
    assert (rules.text(made), rules.sign(made)) == (text, sign)
