"""The golden submission earns its place only if typical faults of an engine leave its tolerance."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kit import ensemble as ensembles
from kit.competitions import get
from kit.inference import reader, runner, semantic_fusion, views
from tests.golden.comparison import compare

GOLDEN = Path(__file__).parent / "kidney"
UNDO = views.invert
MEAN = semantic_fusion.mean_bands
FAULTS = {
    "border repeated": (
        reader,
        "reflected",
        lambda start, stop, size: np.arange(start, stop).clip(0, size - 1),
    ),
    "view undone the wrong way": (
        views,
        "invert",
        lambda name, x: UNDO("rot270" if name == "rot90" else name, x),
    ),
    "view not undone": (views, "invert", lambda name, x: x if name == "transverse" else UNDO(name, x)),
    "bilinear instead of area": (
        reader,
        "resize_image",
        lambda image, height, width: cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR),
    ),
    "equal weights": (semantic_fusion, "mean_bands", lambda maps, weights: MEAN(maps, [1.0] * len(weights))),
}


def report_of(tmp_path):
    """The engine's own submission for the golden images, compared."""
    plan, competition, device = ensembles.load(GOLDEN / "ensemble.json"), get("kidney"), torch.device("cpu")
    data, rows = GOLDEN / "data", []
    runner.configure(device)
    modules = [runner.open_member(item, GOLDEN / "weights" / item.weights, device) for item in plan.members]
    for image_id in competition.test_ids(data):
        image = competition.image_path(data, image_id, "test")
        results = [
            runner.PassResult(
                file=runner.run_pass(
                    modules[step.member],
                    plan.members[step.member],
                    step.view,
                    image_id,
                    image,
                    tmp_path,
                    device=device,
                ),
                weight=weight,
                member=plan.members[step.member],
            )
            for step, weight in zip(plan.passes, plan.rungs[-1].weights, strict=True)
        ]
        size = competition.size_of(data, image_id)
        found = runner.fuse(results, plan.rungs[-1].settings, size, kind=plan.kind, image_id=image_id)
        rows.append(competition.rows(image_id, found.prediction)[0])
    with (tmp_path / "submission.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, fieldnames=list(competition.columns))
        writer.writeheader()
        writer.writerows(rows)
    return compare(GOLDEN / "expected.csv", tmp_path / "submission.csv", competition, data)


def test_the_engine_itself_agrees(tmp_path):
    assert report_of(tmp_path).problems == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed_in_every_image(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(*FAULTS[fault])
    assert len(report_of(tmp_path).problems) == 2


def test_glass_that_is_predicted_after_all_is_noticed_where_there_is_some(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "is_background", lambda window_HWC: False)
    (problem,) = report_of(tmp_path).problems
    assert "interleaved" in problem
