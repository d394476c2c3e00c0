from dataclasses import dataclass, replace

import numpy as np
import pytest

from kit.images.info import ImageInfo
from kit.masks import rle
from kit.predictions import SemanticMask
from train_local.ensemble.finished_runs import find_finished_runs
from train_local.ensemble.search import Candidate
from train_local.ensemble.semantic_scores import HeldOut, SemanticScores
from train_local.ensemble.trial import RecipeView
from train_local.recipes.settings import Validation

SIDE = 20


@dataclass(frozen=True)
class Scene:
    """Scores of images on disk, and the recipe views that predict them."""

    scores: SemanticScores
    candidates: list[Candidate]


@pytest.fixture(scope="session")
def make_scene(tmp_path_factory):
    """Makes maps of a square that each recipe finds with errors of its own."""
    root = tmp_path_factory.mktemp("scenes")

    def make(
        seed, errors, *, images=6, costs=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0), without=(), shared=0.0, pixels=None
    ):
        """`errors` are standard deviations by recipe; `without` has (recipe, image) that nobody held out."""
        random = np.random.default_rng(seed)
        folder = root / f"{seed}-{len(list(root.iterdir()))}"
        folder.mkdir()
        held = {}
        views = [RecipeView(f"recipe{number}", "identity") for number in range(len(errors))]
        for image in range(images):
            mask_HW = np.zeros((SIDE, SIDE), bool)
            top, left = random.integers(2, 8, 2)
            mask_HW[top : top + 10, left : left + 10] = True
            common_HW = random.normal(0, shared, mask_HW.shape)
            maps = {}
            for number, error in enumerate(errors):
                logit_HW = np.where(mask_HW, 1.5, -1.5) + common_HW + random.normal(0, error, mask_HW.shape)
                path = folder / f"{number}-{image}.npy"
                np.save(path, np.uint16(65535 / (1 + np.exp(-logit_HW))))
                if (number, image) not in without:
                    maps[views[number]] = path
            held[f"image{image}"] = HeldOut(SemanticMask(SIDE, SIDE, rle.encode(mask_HW)), maps, ImageInfo())
        candidates = [Candidate(view, cost) for view, cost in zip(views, costs, strict=False)]
        return Scene(SemanticScores(held, processes=1, pixels=pixels), candidates)

    return make


@pytest.fixture(scope="module")
def runs(blobs, blob_data, tmp_path_factory):
    """Two recipes, two folds each."""
    root = tmp_path_factory.mktemp("runs")
    recipe = blobs.recipe(iterations=12, validation=Validation(every=12, unit="iteration"))
    other = replace(recipe, name="seeded", seed=5, views=("identity",))
    blobs.train_all([recipe, other], blob_data, root)
    return root


@pytest.fixture(scope="module")
def finished(blob_data, runs):
    return find_finished_runs(blob_data, runs)
