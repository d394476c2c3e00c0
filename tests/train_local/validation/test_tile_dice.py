from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kit.local.sidecars import read_json_lines
from kit.models import Logits
from train_local.data import slides
from train_local.engine.train import train
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import Data, Validation
from train_local.validation.tile_dice import tile_dice

TILES = Data(tile=64, scale=0.5, crop=24, sampling="tiles", workers=0)


class Darkness(nn.Module):
    """Finds what is darker than a grey value."""

    def __init__(self, grey):
        super().__init__()
        self.grey = grey

    def forward(self, x_NCHW, *, logits):
        assert logits
        return Logits(self.grey - x_NCHW.float().mean(dim=1, keepdim=True), {})


def test_the_tiles_of_held_out_objects_are_scored(blobs, blob_data):
    score = tile_dice(blob_data, blobs.recipe(data=TILES), ["cc", "dd"])
    assert score is not None
    cpu = torch.device("cpu")
    assert score(Darkness(155), cpu) > 0.95, "the discs are dark"
    assert score(Darkness(0), cpu) == 0.0, "nothing found"
    everything = score(Darkness(256), cpu)
    masks = []
    for image_id in ("cc", "dd"):
        files = slides.files_of(blob_data.root, 2, image_id)
        mask_HW, objects = np.load(files.mask), np.load(files.places)["objects"]
        for _, _, _, _, y, x in objects:
            top, left = round(y - 16) + 4, round(x - 16) + 4
            rows = np.abs(np.arange(top, top + 24))
            columns = np.abs(np.arange(left, left + 24))
            rows, columns = (
                np.where(index < size, index, 2 * size - 2 - index)
                for index, size in zip((rows, columns), mask_HW.shape, strict=True)
            )
            masks.append(mask_HW[np.ix_(rows, columns)] > 127)
    assert len(masks) <= 16, "one batch"
    share = np.mean(masks)
    assert everything == pytest.approx(2 * share / (1 + share))


def test_other_recipes_have_no_such_score(blobs, blob_data):
    assert tile_dice(blob_data, blobs.recipe(), ["cc"]) is None, "it draws squares anywhere"
    assert tile_dice(blob_data, blobs.recipe(data=TILES), []) is None, "nothing is held out"
    assert tile_dice(blob_data, blobs.recipe(data=replace(TILES, tile=None)), ["cc"]) is None


def test_the_score_stands_beside_the_metric_in_the_log(blobs, blob_data, tmp_path):
    recipe = blobs.recipe(data=TILES, iterations=2, validation=Validation(every=1, unit="iteration"))
    run, initial = PlannedRun(recipe, 0).ready(blob_data, tmp_path)
    train(run, blob_data, Options(device="cpu"), initial=initial)
    log = [entry for entry in read_json_lines(run.folder / "log.jsonl") if "metric" in entry]
    assert [entry["step"] for entry in log] == [1, 2]
    assert all(0 <= entry["metric/object tiles"] <= 1 for entry in log)
