"""A problem any network learns in seconds: dark discs on pale ground, as slides of the kidney competition."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile

from kit.inference.semantic_settings import SemanticSettings
from kit.masks import rle
from train_local.augment import Flip, Rot90
from train_local.engine.train import train
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.base import Recipe
from train_local.recipes.settings import Data, Ema, NetworkConfig, Optimiser, Schedule, Validation, Warmup

IDS = ("aa", "bb", "cc", "dd")
SMALL = {"encoder": "tu-regnety_002", "encoder_depth": 3, "decoder_channels": [16, 8, 8]}
"""A U-Net of 0.1 MB."""


def slide(seed, height=192, width=256):
    """An image and its mask."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask_HW = np.zeros((height, width), bool)
    for _ in range(6):
        cy, cx, radius = (
            random.integers(20, height - 20),
            random.integers(20, width - 20),
            random.integers(10, 22),
        )
        mask_HW |= (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    image_HWC = random.normal(190, 12, (height, width, 3))
    image_HWC[mask_HW] -= (90, 60, 20)
    return image_HWC.clip(0, 255).astype(np.uint8), mask_HW


def make_competition(root: Path, ids=IDS) -> Path:
    """The competition's folder."""
    rows = [("id", "encoding")]
    for seed, image_id in enumerate((*ids, "zz")):
        image_HWC, mask_HW = slide(seed)
        path = root / ("test" if image_id == "zz" else "train") / f"{image_id}.tiff"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, image_HWC, photometric="rgb", metadata=None)
        if image_id != "zz":
            rows.append((image_id, rle.to_kaggle(rle.encode(mask_HW))))
    for name, table in (("train.csv", rows), ("sample_submission.csv", [("id", "predicted"), ("zz", "")])):
        with (root / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(table)
    return root


@dataclass(frozen=True, kw_only=True)
class BlobRecipe(Recipe):
    """As small as a recipe gets."""

    def tiny(self):
        return replace(self, name=f"{self.name}-tiny")


def recipe(**changes) -> BlobRecipe:
    """A U-Net that learns the discs; `changes` replace fields."""
    settings = {
        "name": "blobs",
        "competition": "kidney",
        "network": NetworkConfig(name="unet-regnety16", arguments=SMALL),
        "inference": SemanticSettings(core=128, context=32, scale=0.5, batch_size=4),
        "views": ("identity", "hflip"),
        "data": Data(tile=128, scale=0.5, crop=48, sampling="random", examples_per_image=4, workers=0),
        "augment": (Flip(p=0.5), Rot90()),
        "optimiser": Optimiser(name="adamw", lr=5e-3, weight_decay=1e-3),
        "schedule": Schedule(warmup=Warmup(share=0.1)),
        "iterations": 40,
        "batch_size": 4,
        "ema": Ema(decay=0.9, ramp=True),
        "grad_clip": 10.0,
        "losses": {"bce": 1.0, "dice": 1.0},
        "validation": Validation(every=20, unit="iteration"),
        "fold_count": 2,
        "folds": (0, 1),
    }
    return BlobRecipe(**{**settings, **changes})


def train_all(recipes, data, root) -> None:
    """Train some recipes on the folds they have in common with the data, one after another."""
    for one in recipes:
        for fold in range(min(len(one.folds), len(data.folds))):
            run, initial = PlannedRun(one, one.folds[fold]).ready(data, root)
            train(run, data, Options(device="cpu"), initial=initial)
