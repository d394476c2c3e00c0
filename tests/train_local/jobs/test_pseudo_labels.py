"""From a trained teacher to stored predictions, and from several teachers' predictions to a label set."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from kit.artefacts import write_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.instance_settings import InstanceFusion
from kit.inference.store import CodedDetections, load_detections, save_detections
from kit.local.sidecars import write_sidecar
from kit.masks import coco
from kit.models import build, save_weights, tiny
from kit.typed_json import to_plain
from train_local.data import label_sets
from train_local.data.prepared import Image, Prepared
from train_local.jobs.label import fusion_of, label
from train_local.jobs.predict import NAME, Predictions, images_of, predict, read
from train_local.options import Options
from train_local.recipes.image_sets import PseudoRound

ROUND = PseudoRound(
    name="exp2", dataset=3, wsis=("6",), teachers=("a", "b"), threshold=0.5, iou=0.6, skip=0.01, closing=3
)


@pytest.fixture
def tiles(tmp_path):
    """Prepared data with three unlabelled tiles of dataset 3, one of them from another slide."""
    made = {}
    for seed, (name, wsi) in enumerate((("t1", "6"), ("t2", "6"), ("t3", "7"))):
        image_HWC = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
        path = tmp_path / "data" / f"{name}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, image_HWC, photometric="rgb")
        made[name] = Image(
            id=name, path=path.name, sha256="0" * 64, height=64, width=64, group=wsi, dataset=3
        )
    return Prepared(
        root=tmp_path / "prepared",
        competition="vasculature",
        kind="instance",
        data=tmp_path / "data",
        images={},
        unlabelled=made,
        folds=[],
        split="group",
        seed=0,
        reductions=[],
        inputs={},
        code_version="0",
    )


def square(left, top, side=20):
    mask_HW = np.zeros((64, 64), bool)
    mask_HW[top : top + side, left : left + side] = True
    return [left, top, left + side, top + side], coco.encode(mask_HW)


def teacher(folder, name, scored):
    """Predictions of a teacher under one view: image -> [(square, score)]."""
    member = Member(name=name, weights=f"{name}.safetensors", sha256="0" * 64, size=1,
                    network={"network": "detectors-r50"}, inference={"size": 64}, requires=[])  # fmt: skip
    files = {}
    for image_id, found in scored.items():
        boxes = np.array([item[0][0] for item in found], np.float64).reshape(-1, 4)
        scores = np.array([item[1] for item in found], np.float64)
        masks = [item[0][1] for item in found]
        path = folder / f"{image_id}.npz"
        save_detections(path, CodedDetections(64, 64, boxes, scores, masks))
        files[image_id] = {"identity": path.name}
    write_json(folder / NAME, to_plain(Predictions(identity=f"of {name}", member=member, files=files)))
    return folder


def test_labels_are_what_the_teachers_agree_on_above_the_threshold(tiles, tmp_path):
    shared, lonely, weak = square(4, 4), square(40, 40), square(4, 40)
    places = {
        "a.fold0.dataset3": teacher(
            tmp_path / "a", "a", {"t1": [(shared, 0.9), (lonely, 0.8)], "t2": [(weak, 0.4)]}
        ),
        "b.fold0.dataset3": teacher(tmp_path / "b", "b", {"t1": [(shared, 0.7)], "t2": [(weak, 0.5)]}),
    }
    folder = tmp_path / "labels" / ROUND.label_set
    label(folder, "identity", to_plain(ROUND), tiles, places)
    made = label_sets.load(folder)
    assert (made.round, made.threshold, made.images, made.instances) == ("exp2", 0.5, 2, 1)
    assert made.teachers == {"a.fold0.dataset3": "of a", "b.fold0.dataset3": "of b"}
    [annotation] = made.coco(tiles)["annotations"]
    # Both found the shared one: (0.9 + 0.7) / 2. The lonely one has half the teachers, so half its 0.8; the
    # weak one's mean of 0.45 is no more than 0.5.
    assert annotation["image_id"] == "t1"
    assert annotation["score"] == pytest.approx(0.8)
    assert annotation["bbox"] == [4, 4, 20, 20]


def test_the_fusion_is_the_round_s(tiles):
    assert fusion_of(ROUND) == InstanceFusion(
        iou=0.6, skip_score=0.01, morphology="closing", morphology_size=3, min_score=0.5
    )
    assert fusion_of(replace(ROUND, closing=0)).morphology == "none"
    with pytest.raises(KitError, match="round exp2 wants 2 teachers per object"):
        fusion_of(replace(ROUND, votes=2))


def test_a_round_labels_the_images_of_its_dataset_and_slides(tiles):
    assert images_of(tiles, 3, ("6",)) == ["t1", "t2"]
    assert images_of(tiles, 3, None) == ["t1", "t2", "t3"]
    with pytest.raises(KitError, match="no unlabelled image of dataset 3 and slide 9"):
        images_of(tiles, 3, ("9",))


def test_a_teacher_predicts_under_all_views_and_goes_on_where_it_was_killed(tiles, tmp_path):
    network = tiny("detectors-r50")
    weights = tmp_path / "weights.safetensors"
    save_weights(build(network), weights, {"identity": "x"})
    write_sidecar(weights, kind="weights", config={}, inputs={}, code_version="0", recipe="a", fold=0,
                  network=network, inference={"size": 64}, requires=[])  # fmt: skip
    folder = tmp_path / "predictions"
    given = {"weights": weights, "prepared": tiles, "options": Options(device="cpu")}
    predict(folder, "identity", **given, ids=["t1"], views=["identity"])
    first = read(folder)
    predict(folder, "identity", **given, ids=["t1", "t2"], views=["identity", "hflip"])
    made = read(folder)
    assert made.member.name == "a.fold0"
    assert {name: sorted(views) for name, views in made.files.items()} == {
        "t1": ["hflip", "identity"],
        "t2": ["hflip", "identity"],
    }
    assert made.files["t1"]["identity"] == first.files["t1"]["identity"]
    found = load_detections(folder / made.files["t2"]["hflip"])
    assert (found.height, found.width) == (64, 64)
    (folder / made.files["t2"]["hflip"]).unlink()
    with pytest.raises(KitError, match="a stored prediction is missing"):
        read(folder)
    predict(folder, "another", **given, ids=["t1"], views=["identity"])
    assert json.loads((tmp_path / "predictions.was-identity" / NAME).read_text())["identity"] == "identity"
