import csv
import json

import numpy as np
import pytest
import tifffile

from kit import competitions
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.masks import rle

BODY_COLUMNS = ("id", "organ", "data_source", "img_height", "img_width", "pixel_size", "tissue_thickness")


class Folder:
    """A competition's folder with tiny images, whose parts a test can spoil."""

    def __init__(self, root, name):
        self.root = root
        self.competition = competitions.get(name)

    def image(self, split, image_id, array, **options):
        path = self.competition.image_path(self.root, image_id, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, array, **{"photometric": "rgb", "metadata": None, **options})
        return path

    def table(self, name, *rows):
        with (self.root / name).open("w", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(rows)
        return self.root / name

    def lines(self, name, *values):
        path = self.root / name
        path.write_text("".join(json.dumps(value) + "\n" for value in values))
        return path

    def labelled(self):
        return LabelledData(self.competition, self.root)

    def check(self):
        return check(self.labelled())

    def truth(self, ids):
        return self.labelled().truth(ids)

    def submission(self, *rows):
        return self.table("submission.csv", self.competition.columns, *rows)

    def validate(self, path, sizes=None):
        ids = self.competition.test_ids(self.root)
        known = {key: self.competition.size_of(self.root, key) for key in ids} if sizes is None else sizes
        return self.competition.validate(path, ids, known)


def picture(seed, height=10, width=12, channels=3, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, 255, (height, width, channels)).astype(dtype)


@pytest.fixture
def kidney(tmp_path):
    folder = Folder(tmp_path / "hubmap", "kidney")
    for seed, (split, name) in enumerate((("train", "aa"), ("train", "bb"), ("test", "cc"), ("test", "dd"))):
        folder.image(split, name, picture(seed))
    mask_HW = np.zeros((10, 12), bool)
    mask_HW[2:5, 3:9] = True
    text = rle.to_kaggle(rle.encode(mask_HW))
    folder.table("train.csv", ("id", "encoding"), ("bb", ""), ("aa", text))
    folder.table("solution.csv", ("id", "encoding"), ("cc", text), ("dd", ""))
    folder.table("sample_submission.csv", ("id", "predicted"), ("dd", ""), ("cc", ""))
    return folder


SQUARE = [[2, 3], [7, 3], [7, 8], [2, 8]]


def annotation(ring=SQUARE, kind="blood_vessel"):
    return {"type": kind, "coordinates": [ring]}


@pytest.fixture
def vasculature(tmp_path):
    folder = Folder(tmp_path / "vessels", "vasculature")
    for seed, (split, name) in enumerate((("train", "aa"), ("train", "bb"), ("test", "cc"), ("test", "dd"))):
        folder.image(split, name, picture(seed))
    folder.lines(
        "polygons.jsonl",
        {"id": "bb", "annotations": [annotation(), annotation(kind="glomerulus")]},
        {"id": "aa", "annotations": [annotation(), annotation([[0, 0], [3, 0], [0, 3]]), annotation()]},
    )
    folder.lines(
        "solution.jsonl", {"id": "cc", "annotations": [annotation()]}, {"id": "dd", "annotations": []}
    )
    folder.table(
        "tile_meta.csv", ("id", "source_wsi", "dataset", "i", "j"), ("aa", 1, 1, 0, 0), ("bb", 2, 1, 0, 0)
    )
    folder.table("sample_submission.csv", folder.competition.columns, ("cc", 10, 12, ""), ("dd", 10, 12, ""))
    return folder


@pytest.fixture
def body(tmp_path):
    folder = Folder(tmp_path / "organs", "body")
    for seed, (split, name) in enumerate((("train", "aa"), ("train", "bb"), ("test", "cc"), ("test", "dd"))):
        folder.image(split, name, picture(seed))
    mask_HW = np.zeros((10, 12), bool)
    mask_HW[2:5, 3:9] = True
    text = rle.to_kaggle(rle.encode(mask_HW))
    folder.table(
        "train.csv",
        (*BODY_COLUMNS, "rle", "age", "sex"),
        ("bb", "lung", "HPA", 10, 12, 0.4, 4, "", 60, "Female"),
        ("aa", "spleen", "HPA", 10, 12, 0.4, 4, text, 61, "Male"),
    )
    folder.table(
        "test.csv",
        BODY_COLUMNS,
        ("cc", "spleen", "Hubmap", 10, 12, 0.4945, 4),
        ("dd", "prostate", "Hubmap", 10, 12, 6.263, 5),
    )
    folder.table("solution.csv", ("id", "rle"), ("cc", text), ("dd", ""))
    folder.table("sample_submission.csv", ("id", "rle"), ("dd", ""), ("cc", ""))
    return folder


@pytest.fixture(params=["kidney", "body", "vasculature"])
def each(request):
    return request.getfixturevalue(request.param)
