"""Scores of whole folders and files against a referee that knows only pixels and the words of the rules."""

import base64
import csv
import json
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_api

from kit import competitions
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.local.competitions import scores, submission_files
from kit.local.competitions.labelled import LabelledData
from kit.predictions import Instances

HEIGHT, WIDTH = 5, 6
masks = st.one_of(st.just(np.zeros((HEIGHT, WIDTH), bool)), arrays(bool, (HEIGHT, WIDTH)))
boxes = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 2), st.integers(1, 2))
"""Left, top, right - left, bottom - top; all four edges belong to it."""
drawn = st.lists(st.tuples(st.sampled_from(["blood_vessel", "glomerulus", "unsure"]), boxes), max_size=5)
detections = st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), boxes), max_size=5)


def pixels(box):
    left, top, more_x, more_y = box
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[top : top + more_y + 1, left : left + more_x + 1] = True
    return mask_HW


def written(folder, competition, images, header, rows):
    for image_id in images:
        path = competition.image_path(folder, image_id, "train")
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.zeros((HEIGHT, WIDTH, 3), np.uint8), photometric="rgb")
    with (folder / "submission.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def scored(folder, competition, images):
    truth = LabelledData(competition, folder).truth(images)
    found = submission_files.read(
        competition, folder / "submission.csv", dict.fromkeys(images, (HEIGHT, WIDTH))
    )
    return scores.score(competition, truth, found)


def run_lengths(mask_HW):
    """One pixel a run: touching runs are legal."""
    return " ".join(f"{place + 1} 1" for place in np.flatnonzero(mask_HW.T.reshape(-1)).tolist())


@pytest.mark.parametrize(
    ("name", "true", "given_as"), [("kidney", "encoding", "predicted"), ("body", "rle", "rle")]
)
@settings(max_examples=30)
@given(pairs=st.lists(st.tuples(masks, masks), min_size=1, max_size=4))
def test_the_mean_dice_of_a_file_is_that_of_its_pixels(tmp_path_factory, name, true, given_as, pairs):
    folder, competition = tmp_path_factory.mktemp(name), competitions.get(name)
    images = [f"image{number}" for number in range(len(pairs))]
    rows = [(image, run_lengths(guess_HW)) for image, (_, guess_HW) in zip(images, pairs, strict=True)]
    written(folder, competition, images, ("id", given_as), rows)
    with (folder / "train.csv").open("w", newline="") as stream:
        cells = [(image, run_lengths(true_HW)) for image, (true_HW, _) in zip(images, pairs, strict=True)]
        csv.writer(stream).writerows([("id", true), *cells])
    each = []
    for true_HW, guess_HW in pairs:
        total = int(true_HW.sum()) + int(guess_HW.sum())
        each.append(1.0 if total == 0 else 2 * int((true_HW & guess_HW).sum()) / total)
    score = scored(folder, competition, images)
    assert score.per_image == dict(zip(images, each, strict=True))
    assert score.value == pytest.approx(sum(each) / len(each), abs=1e-12)


def packed(mask_HW):
    counts = coco_api.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"]
    return base64.b64encode(zlib.compress(counts)).decode()


def referee(case, iou, ignored):
    """Average precision from the words: best score first over all images, each truth found once."""
    ranked = sorted(
        (-score, image, place, box)
        for image, (_, found) in enumerate(case)
        for place, (score, box) in enumerate(sorted(found, key=lambda item: -item[0]))
    )
    free = [list(dict.fromkeys(box for kind, box in shapes if kind == "blood_vessel")) for shapes, _ in case]
    total = sum(map(len, free))
    right = []
    for _, image, _, box in ranked:
        mask_HW = pixels(box)
        overlaps = [
            (int((pixels(one) & mask_HW).sum()) / int((pixels(one) | mask_HW).sum()), -place)
            for place, one in enumerate(free[image])
        ]
        best, place = max(overlaps, default=(0.0, 0))
        if best >= iou:
            del free[image][-place]
            right.append(True)
        elif not any(
            kind in ignored and (pixels(one) & mask_HW).sum() > 0.5 * mask_HW.sum()
            for kind, one in case[image][0]
        ):
            right.append(False)
    if total == 0:
        return 0.0 if right else 1.0
    points = [(sum(right[:count]) / total, sum(right[:count]) / count) for count in range(1, len(right) + 1)]
    area, before = 0.0, 0.0
    for index, (recall, _) in enumerate(points):
        area += (recall - before) * max(precision for _, precision in points[index:])
        before = recall
    return area


@pytest.mark.parametrize("ignored", [(), ("unsure",), ("unsure", "glomerulus")])
@pytest.mark.parametrize("thresholds", [(0.6,), (0.3, 0.5, 0.75)])
@settings(max_examples=30)
@given(case=st.lists(st.tuples(drawn, detections), min_size=1, max_size=3))
def test_the_average_precision_of_a_file_is_that_of_its_pixels(tmp_path_factory, ignored, thresholds, case):
    folder, competition = tmp_path_factory.mktemp("vessels"), competitions.get("vasculature")
    if ignored or thresholds != competition.format.metric.iou:
        preset = PRESETS["vasculature"]
        truth = {**preset["truth"], "ignored": list(ignored)}
        format_ = parse({**preset, "truth": truth, "metric": {"name": "AP", "iou": list(thresholds)}})
        competition = type(competition)(format_)
    images = [f"tile{number}" for number in range(len(case))]
    rows = [
        (image, HEIGHT, WIDTH, " ".join(f"0 {score} {packed(pixels(box))}" for score, box in found))
        for image, (_, found) in zip(images, case, strict=True)
    ]
    written(folder, competition, images, competition.columns, rows)
    lines = [
        {"id": image, "annotations": [{"type": kind, "coordinates": [ring(box)]} for kind, box in shapes]}
        for image, (shapes, _) in zip(images, case, strict=True)
    ]
    (folder / "polygons.jsonl").write_text("\n".join(map(json.dumps, lines)))
    expected = sum(referee(case, iou, ignored) for iou in thresholds) / len(thresholds)
    assert scored(folder, competition, images).value == pytest.approx(expected, abs=1e-12)


def ring(box):
    left, top, more_x, more_y = box
    right, bottom = left + more_x, top + more_y
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_a_second_detection_of_a_truth_in_an_ignored_region_is_not_judged_either():
    preset = PRESETS["vasculature"]
    competition = type(competitions.get("vasculature"))(
        parse({**preset, "truth": {**preset["truth"], "ignored": ["unsure"]}})
    )
    box = coco_api.encode(np.asfortranarray(pixels((0, 0, 2, 2)).astype(np.uint8)))["counts"]
    other = coco_api.encode(np.asfortranarray(pixels((3, 3, 2, 1)).astype(np.uint8)))["counts"]
    truth = Instances(HEIGHT, WIDTH, np.ones(2), [box, other], ignored=[box])
    found = Instances(HEIGHT, WIDTH, np.array([0.9, 0.8, 0.7]), [box, box, other])
    assert scores.score(competition, {"a": truth}, {"a": found}).value == 1.0
