"""Detections in ignored regions, and means over thresholds."""

import numpy as np
import pytest

from kit.competitions.instance import InstanceCompetition
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.scores import score
from kit.masks import coco
from kit.predictions import Instances


def competition(iou=0.6, **truth):
    preset = PRESETS["vasculature"]
    changed = {"truth": {**preset["truth"], **truth}, "metric": {"name": "AP", "iou": iou}}
    return InstanceCompetition(parse({**preset, **changed}))


def box(left, right):
    mask_HW = np.zeros((10, 40), bool)
    mask_HW[:, left:right] = True
    return coco.encode(mask_HW)


def image(*boxes, ignored=()):
    masks = [box(*edges) for edges in boxes]
    return Instances(10, 40, np.linspace(1, 0.5, len(masks)), masks, [box(*edges) for edges in ignored])


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        ([(0, 10)], 1.0),
        ([(20, 30), (0, 10)], 1.0),  # inside an ignored region: not judged
        ([(16, 26), (0, 10)], 1.0),  # six tenths of it inside
        ([(15, 25), (0, 10)], 0.5),  # half of it inside: judged, and wrong
        ([(32, 40), (0, 10)], 0.5),  # beside it
        ([], 0.0),
    ],
)
def test_nobody_judges_detections_that_lie_mostly_in_an_ignored_region(detections, expected):
    truth = {"a": image((0, 10), ignored=[(20, 30)])}
    assert score(competition(), truth, {"a": image(*detections)}).value == pytest.approx(expected)


def test_a_true_instance_in_an_ignored_region_is_found_nevertheless():
    truth = {"a": image((20, 28), ignored=[(18, 30)])}
    assert score(competition(), truth, {"a": image((20, 28))}).value == 1.0


def test_unsure_regions_count_as_wrong_unless_they_are_ignored(vasculature):
    drawn = [
        {"type": "blood_vessel", "coordinates": [[[0, 0], [3, 0], [3, 9], [0, 9]]]},
        {"type": "unsure", "coordinates": [[[6, 0], [9, 0], [9, 9], [6, 9]]]},
    ]
    vasculature.lines("polygons.jsonl", {"id": "aa", "annotations": drawn})
    mask_HW = np.zeros((2, 10, 12), bool)
    mask_HW[0, :, 6:10] = mask_HW[1, :, 0:4] = True
    found = {"aa": Instances(10, 12, np.array([0.9, 0.8]), [coco.encode(one_HW) for one_HW in mask_HW])}
    scores = {}
    for ignored in ((), ("unsure",)):
        chosen = competition(ignored=list(ignored))
        labelled = LabelledData(chosen, vasculature.root)
        truth = labelled.truth(["aa"])
        assert len(truth["aa"].ignored) == len(ignored)
        scores[ignored] = score(chosen, truth, found).value
        notes = [finding.message for finding in check(labelled).findings]
        what = "only keep detections from being judged" if ignored else "are left out"
        assert f"1 annotations of type unsure {what}" in notes
    assert scores == {(): 0.5, ("unsure",): 1.0}


def test_detections_need_no_order_to_be_judged():
    truth = {"a": image((0, 10), ignored=[(20, 30)])}
    found = Instances(10, 40, np.array([0.3, 0.9]), [box(0, 10), box(20, 30)])
    assert score(competition(), truth, {"a": found}).value == 1.0


def test_several_thresholds_are_averaged():
    truth, found = {"a": image((0, 10))}, {"a": image((0, 8))}  # an overlap of 0.8
    found = score(competition(iou=[0.5, 0.7, 0.8, 0.9]), truth, found)
    assert found.metric == "mean AP@0.5:0.9"
    assert found.value == pytest.approx(3 / 4)
