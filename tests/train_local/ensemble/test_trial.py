"""Which runs a recipe view stands for, and which of them held an image out."""

from pathlib import Path

from kit.ensemble import Member
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.trial import RecipeView, TrialPass, held_out_files, runs_of


def run(recipe, fold, *images, views=("identity",)):
    name = f"{recipe}.fold{fold}"
    member = Member(name=name, weights="w", sha256=f"{fold}", size=1, network={}, inference={}, requires=[])
    files = {view: {image: Path(name) / view / image for image in images} for view in views}
    return FinishedRun(recipe, member, Path("w"), views, files, dict.fromkeys(views, 2.0))


def test_an_image_comes_from_the_first_fold_that_held_it_out():
    runs = [run("a", 0, "x", "y"), run("b", 0, "x"), run("a", 1, "y", "z"), run("a", 2, views=("hflip",))]
    view = RecipeView("a", "identity")
    assert runs_of(view, runs) == [runs[0], runs[2]]
    found = held_out_files(view, runs)
    assert {image: one.member.name for image, (one, _) in found.items()} == {
        "x": "a.fold0",
        "y": "a.fold0",
        "z": "a.fold1",
    }
    assert found["z"][1] == Path("a.fold1/identity/z")
    assert held_out_files(RecipeView("a", "hflip"), runs) == {}


def test_a_pass_knows_its_recipe_view_and_its_cost():
    one = TrialPass(run("a", 0), "identity")
    assert (one.recipe_view, one.seconds_per_megapixel) == (RecipeView("a", "identity"), 2.0)
