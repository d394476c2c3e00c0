"""Competitions without a recipe of their own: what is prepared, which recipes suit, what is tuned."""

import json
from dataclasses import replace

import pytest

from kit import competitions
from kit.errors import KitError
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.scores import score
from train_local import baseline, recipes
from train_local.data import prepare, prepared
from train_local.ensemble.build import build_ensemble
from train_local.ensemble.finished_runs import find_finished_runs
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import Validation
from train_local.validation import evaluate

DISCS = """
name = "discs"
slug = "find-the-discs"
like = "kidney"

[metadata]
organ = "colon"
source = "Somewhere"
pixel_size = 0.25
"""


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "discs.toml"
    path.write_text(DISCS)
    return path


@pytest.fixture(scope="module")
def discs(blobs, toml):
    """The discs as a competition of their own; prepared."""
    data = blobs.make_competition(toml.parent / "data")
    (data / "tile_meta.csv").write_text("tile,stain\naa,HE\n")
    prepare.prepare(toml, data, toml.parent / "prepared", reductions=(1, 2), fold_count=2)
    return prepared.load(toml.parent / "prepared")


def test_the_prepared_folder_knows_the_competition_without_its_file(discs, blob_data):
    assert (discs.competition, discs.source.metric, discs.source.slug) == (
        "discs",
        "mean Dice",
        "find-the-discs",
    )
    assert discs.definition == discs.source.definition
    info = discs.images["aa"].info
    assert (info.pixel_size, info.organ, info.source) == (0.25, "colon", "Somewhere")
    assert discs.images["aa"].dataset is None, "another competition's tile_meta.csv means nothing"
    assert "Organs: colon 4." in (discs.root / "report.md").read_text()
    assert discs.identity != blob_data.identity


def test_what_is_known_of_images_is_part_of_the_data_s_identity(discs):
    other = replace(discs.images["aa"], organ="lung")
    assert replace(discs, images={**discs.images, "aa": other}).identity != discs.identity


def test_recipes_of_its_kind_suit_a_competition_that_has_none(blobs, discs):
    unet, detector = recipes.get("unet-regnety16"), recipes.get("detectors-r50")
    assert recipes.suits(unet, discs.competition, discs.kind)
    assert not recipes.suits(detector, discs.competition, discs.kind)
    assert not recipes.suits(unet, "body", "semantic"), "it has its own"


@pytest.mark.parametrize("view", ["sideways", "hflip@0", "identity+identity"])
def test_views_that_do_not_exist_are_refused_before_training(blobs, discs, tmp_path, view):
    with pytest.raises(KitError, match="view"):
        PlannedRun(blobs.recipe(views=("identity", view)), 0).ready(discs, tmp_path)


def test_windows_hold_for_the_one_pixel_size_of_the_training_images(blobs, discs, tmp_path):
    def seen(data, **inference):
        recipe = blobs.recipe()
        recipe = replace(recipe, inference=replace(recipe.inference, **inference))
        run, _ = PlannedRun(recipe, 0).ready(data, tmp_path)
        return evaluate.member_of(run, data, sha256="0", size=0).inference.get("pixel_size")

    assert seen(discs) == 0.25
    assert seen(discs, pixel_size=0.5) == 0.5, "the recipe knows better"
    mixed = {
        name: replace(image, pixel_size=size) for size, (name, image) in enumerate(discs.images.items(), 1)
    }
    assert seen(replace(discs, images=mixed)) is None
    unknown = {name: replace(image, pixel_size=None) for name, image in discs.images.items()}
    assert seen(replace(discs, images=unknown)) is None


def test_an_ensemble_under_scaled_views_carries_the_definition(blobs, discs, tmp_path, capsys):
    recipe = blobs.recipe(
        iterations=8,
        validation=Validation(every=8, unit="iteration"),
        views=("identity", "hflip@0.5", "identity+vflip"),
    )
    blobs.train_all([recipe], discs, tmp_path)
    trained = find_finished_runs(discs, tmp_path)
    made = build_ensemble(discs, trained, keep_all=True).ensemble
    assert competitions.of(made).slug == "find-the-discs"
    assert {item.view for item in made.passes} == {"identity", "hflip@0.5", "identity+vflip"}
    assert all(member.inference["pixel_size"] == 0.25 for member in made.members)
    assert len(made.rungs[-1].passes) == 6
    runs_stay_of_the_data_until_what_they_saw_changes(discs, tmp_path, capsys)


def runs_stay_of_the_data_until_what_they_saw_changes(discs, runs, capsys):
    def found(**changes):
        capsys.readouterr()
        other = replace(discs, definition={**discs.definition, **changes})
        try:
            names = [run.member.name for run in find_finished_runs(other, runs)]
        except KitError:
            names = []
        return len(names), " ".join(capsys.readouterr().err.split())

    assert found(slug="find-the-other-discs", hidden_images=500, marks=["a.csv"]) == (2, "")
    solution = {**discs.definition["truth"], "solution": "held_out.csv"}
    assert found(truth=solution, server={"anything": 1}) == (2, "")
    number, told = found(metric={"name": "F-beta", "beta": 2.0})
    assert number == 2
    assert "chosen by another metric (metric.beta, metric.name differs)" in told
    number, told = found(images={**discs.definition["images"], "intensity": {"bits": 12}})
    assert number == 0
    assert "other data: the definition differs in images.intensity.bits." in told
    # A run of the time when the whole definition counted, which says nothing but its hash.
    for path in runs.glob("*/fold*/weights.safetensors.json"):
        value = json.loads(path.read_text())
        value["inputs"]["prepared"] = discs.former_identity
        del value["data"]
        path.write_text(json.dumps(value))
    assert found() == (2, "")
    other = replace(discs, definition={**discs.definition, "hidden_images": 500})
    aliases = prepared.aliases_of(discs.root, other)
    assert aliases == [discs.former_identity]
    assert len(find_finished_runs(replace(other, aliases=aliases), runs)) == 2
    changed = replace(other, folds=discs.folds[::-1])
    assert prepared.aliases_of(discs.root, changed) == prepared.aliases_of(runs, other) == []
    number, told = found(hidden_images=500)
    assert number == 0
    assert "images, truth, folds or the definition differ" in told


def test_a_baseline_needs_the_toml_file_only(discs, toml):
    found = baseline.predict_baseline(toml, discs.data, ["aa", "zz"], "otsu")
    assert sorted(found) == ["aa", "zz"]
    truth = LabelledData(discs.source, discs.data).truth(["aa"])
    assert score(discs.source, truth, {"aa": found["aa"]}).value > 0.9
