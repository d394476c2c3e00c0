"""Instances of several classes: each class is what it would be alone, and the network runs once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kit.ensemble import Member
from kit.errors import KitError
from kit.inference import instance_engine, labels_engine
from kit.inference.fusion import PassResult
from kit.inference.labelled_store import load_labelled, save_labelled
from kit.inference.store import CodedDetections, load_detections, mark_of
from kit.models import Detections, InstanceNetwork, NetworkSpec
from tests.kit.inference.predicting import image_pass

CLASSES = ["gas", "dust"]


class Squares(InstanceNetwork):
    """Finds a square of each class where the image is bright in red or in green."""

    def __init__(self, only=None):
        spec = NetworkSpec(
            name="squares", system="test", kind="instance", output="detections", mean=(0, 0, 0),
            std=(1, 1, 1), size_divisor=1, requires=(), classes=1 if only is not None else 2,
        )  # fmt: skip
        super().__init__(spec, torch.nn.Identity())
        self.only, self.calls = only, 0

    def detect(self, x_NCHW):
        self.calls += 1
        masks, boxes, scores, labels = [], [], [], []
        for label in range(2):
            mask = x_NCHW[0, label] > 128
            rows, columns = (torch.nonzero(mask.any(dim=axis))[:, 0] for axis in (1, 0))
            if len(rows) and self.only in (None, label):
                masks.append(mask)
                boxes.append([float(columns[0]), float(rows[0]), columns[-1] + 1.0, rows[-1] + 1.0])
                scores.append(0.9 - 0.2 * label)
                labels.append(label)
        height, width = x_NCHW.shape[-2:]
        stack = torch.stack(masks) if masks else torch.zeros(0, height, width, dtype=torch.bool)
        found = torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), stack
        return [Detections(*found, torch.tensor(labels) if self.only is None else None)]


def member(**more):
    return Member(
        name="m", weights="m.safetensors", sha256="0", size=0, requires=[],
        network={"network": "own", "classes": CLASSES},
        inference={"size": 32, "window": 32, "overlap": 8, **more},
    )  # fmt: skip


def picture():
    image = np.zeros((32, 56, 3), np.uint8)
    image[4:12, 5:15, 0] = 255
    image[18:30, 22:40, 1] = 255
    return image


def run(engine, module, target, view):
    engine.run_pass(module, image_pass(picture(), target, view, member=member()))


@pytest.mark.parametrize("view", ["identity", "identity+hflip"])
def test_each_class_is_found_and_fused_as_it_would_be_alone(tmp_path, view):
    module = Squares()
    run(labels_engine, module, tmp_path / "all.npz", view)
    assert module.calls == 2 * len(view.split("+")), "once per window and view, not per class"
    found = load_labelled(tmp_path / "all.npz", 2)
    passed = PassResult(file=tmp_path / "all.npz", weight=1.0, member=member())
    fused = labels_engine.fuse([passed], {}, (32, 56), image_id="a", info=None, keep=None).prediction
    assert fused.labels.tolist() == [0, 1]
    assert list(fused.scores) == sorted(fused.scores, reverse=True)
    for label in range(2):
        alone = tmp_path / f"{label}.npz"
        run(instance_engine, Squares(only=label), alone, view)
        want = load_detections(alone)
        assert found[label].masks == want.masks
        assert np.array_equal(found[label].boxes, want.boxes)
        result = PassResult(file=alone, weight=1.0, member=member())
        one = instance_engine.fuse([result], {}, (32, 56), image_id="a", info=None, keep=None).prediction
        assert [
            mask for mask, own in zip(fused.masks, fused.labels, strict=True) if own == label
        ] == one.masks


def test_a_class_may_have_a_least_score_of_its_own(tmp_path):
    run(labels_engine, Squares(), tmp_path / "all.npz", "identity")
    passed = PassResult(file=tmp_path / "all.npz", weight=1.0, member=member())

    def labels(settings):
        fused = labels_engine.fuse([passed], settings, (32, 56), image_id="a", info=None, keep=None)
        return fused.prediction.labels.tolist()

    assert labels({"min_scores": {"gas": 0.95}}) == [1]
    assert labels({"min_score": 0.8}) == [0]
    assert labels({"min_score": 0.8, "min_scores": {"dust": 0.5}}) == [0, 1]


def test_a_file_of_another_number_of_classes_is_refused(tmp_path):
    nothing = CodedDetections(4, 4, np.zeros((0, 4)), np.zeros(0), [])
    save_labelled(tmp_path / "a.npz", [nothing, nothing])
    assert [len(one.scores) for one in load_labelled(tmp_path / "a.npz", 2)] == [0, 0]
    assert mark_of(tmp_path / "a.npz")[1], "whoever looks at all detections together can read it"
    with pytest.raises(KitError, match="2 classes, not 3"):
        load_labelled(tmp_path / "a.npz", 3)


class FromOne(Squares):
    """Counts its classes from 1, as torchvision does."""

    def detect(self, x_NCHW):
        [found] = super().detect(x_NCHW)
        return [replace(found, labels=found.labels + 1)]


def test_a_label_of_no_class_is_refused(tmp_path):
    with pytest.raises(KitError, match="the label 2 for 2 classes"):
        run(labels_engine, FromOne(), tmp_path / "a.npz", "identity")
    assert not (tmp_path / "a.npz").exists()


def test_a_network_without_labels_is_refused(tmp_path):
    module = Squares(only=0)
    module.spec = replace(module.spec, classes=2)
    with pytest.raises(KitError, match="no labels"):
        run(labels_engine, module, tmp_path / "a.npz", "identity")
