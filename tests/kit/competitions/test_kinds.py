"""Rows of each kind of competition: without a prediction, of another kind, without a size."""

from pathlib import Path

import numpy as np
import pytest

from kit import competitions
from kit.competitions import mask_text
from kit.competitions.instance import InstanceCompetition, require_masks
from kit.competitions.parsing import parse
from kit.competitions.report import Report
from kit.competitions.semantic_rows import ClassMaskCompetition
from kit.competitions.tables import Row
from kit.competitions.values import ValuesCompetition
from kit.errors import KitError
from kit.masks import coco, rle
from kit.predictions import ClassMasks, SemanticMask, Values

COMMON = {
    "name": "own",
    "slug": "own",
    "classes": ["a", "b"],
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
}
MASKS = ClassMaskCompetition(
    parse(
        {
            **COMMON,
            "kind": "semantic",
            "truth": {"form": "images", "file": "{id}.png"},
            "submission": {"class_column": "class", "mask": "rle"},
            "metric": {"name": "mean Dice"},
        }
    )
)
TABLE = {"form": "table", "file": "train.csv"}
NUMBERS = ValuesCompetition(
    parse({**COMMON, "kind": "values", "truth": TABLE, "submission": {}, "metric": {"name": "log loss"}})
)
WORDS = ValuesCompetition(
    parse(
        {
            **COMMON,
            "kind": "values",
            "targets": ["risk"],
            "truth": TABLE,
            "submission": {"value": "risk"},
            "metric": {"name": "accuracy"},
        }
    )
)


def rows(own, *cells):
    return [Row(Path("submission.csv"), line, row, own.columns[0]) for line, row in enumerate(cells, 2)]


def nothing_in(prediction):
    assert isinstance(prediction, ClassMasks)
    assert list(prediction.masks) == ["a", "b"]
    return not any(len(runs) for runs in prediction.masks.values())


def alarms(own, *values):
    report = Report("submission.csv")
    own.alarm(report, {f"{number}": Values(one) for number, one in enumerate(values)})
    return [finding.message for finding in report.findings if finding.level == "alarm"]


def test_without_a_prediction_masks_are_empty_numbers_zero_and_words_the_first_class():
    assert nothing_in(MASKS.empty(3, 4))
    assert NUMBERS.empty(3, 4) == Values({"a": 0.0, "b": 0.0})
    assert WORDS.empty(3, 4) == Values({"risk": "a"})
    assert [row["rle"] for row in MASKS.rows("x", MASKS.empty(3, 4))] == ["", ""]


@pytest.mark.parametrize("own", [MASKS, NUMBERS, WORDS])
def test_a_prediction_of_another_kind_is_refused(own):
    with pytest.raises(TypeError, match=r"own rows hold .*, not SemanticMask"):
        own.rows("x", SemanticMask(3, 4, rle.empty()))


def test_masks_of_an_image_without_a_size_are_refused_unless_they_are_empty():
    cells = [{"id": "x", "class": "a", "rle": "1 2"}, {"id": "x", "class": "b", "rle": ""}]
    with pytest.raises(KitError, match="the size of this image is not known"):
        MASKS.decode(rows(MASKS, *cells), None)
    assert nothing_in(MASKS.decode(rows(MASKS, *cells[1:]), None))
    assert not nothing_in(MASKS.decode(rows(MASKS, *cells), (3, 4)))


def test_instances_of_an_image_without_a_size_are_refused_unless_there_are_none():
    preset = competitions.presets.PRESETS["vasculature"]
    own = InstanceCompetition(parse({**preset, "submission": {"mask": "p", "encoding": "coco"}}))
    cells = {"id": "x", "p": ""}
    assert own.decode(rows(own, cells), None).masks == []
    cells["p"] = f"0 0.5 {mask_text.write(rle.encode(np.ones((3, 4), bool)), own.format.submission, 3, 4)}"
    with pytest.raises(KitError, match="the size of this image is not known"):
        own.decode(rows(own, cells), None)


def test_of_many_masks_the_first_that_does_not_fit_is_named():
    fits, other = (coco.encode(np.ones(size, bool)) for size in ((3, 4), (5, 6)))
    require_masks([fits, fits], (3, 4), "row 2")
    with pytest.raises(KitError) as caught:
        require_masks([fits, other, fits], (3, 4), "row 2")
    assert "row 2, prediction 2" in str(caught.value)


def test_numbers_that_are_no_probabilities_and_classes_that_nobody_has_raise_alarms():
    assert alarms(NUMBERS, {"a": 0.1, "b": 0.2}, {"a": 0.3, "b": 1.4}) == [
        "b is no probability in 1 of 2 rows, such as 1.4"
    ]
    assert alarms(WORDS, {"risk": "a"}, {"risk": "b"}) == []
    assert alarms(WORDS, {"risk": "a"}) == [], "of one image nothing can be said"
    assert alarms(WORDS, {"risk": "a b"}, {"risk": "a"}) == []
    assert alarms(WORDS, {"risk": "a"}, {"risk": "a"}) == [
        "all 2 values of risk are a",
        "no image is of the class 'b'",
    ]
