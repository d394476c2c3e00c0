from hypothesis import given
from hypothesis import strategies as st

from train_local.data.prepared import Image
from train_local.ensemble.parts import PARTS, others, outer_parts, reference_images
from train_local.ensemble.trial import RecipeView


def image(number, group, organ=""):
    return Image(
        id=f"i{number}", path="", sha256="0" * 64, height=1, width=1, group=group, organ=organ, source=""
    )


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40))
def test_every_image_is_in_one_part_and_groups_stay_together_where_there_are_enough(groups):
    images = {f"i{number}": image(number, f"g{group}") for number, group in enumerate(groups)}
    parts = outer_parts(images)
    assert sorted(image_id for part in parts for image_id in part) == sorted(images)
    assert len(parts) == min(PARTS, len(images))
    if len(set(groups)) >= PARTS:
        for group in set(groups):
            assert sum(any(images[one].group == f"g{group}" for one in part) for part in parts) == 1
    for number, part in enumerate(parts):
        rest = others(parts, number)
        assert len(parts) == 1 or not set(rest) & set(part)


def test_each_part_has_all_organs():
    organs = ("kidney", "lung") * 10
    images = {f"i{number}": image(number, f"g{number}", organ) for number, organ in enumerate(organs)}
    for part in outer_parts(images):
        assert {images[one].organ for one in part} == {"kidney", "lung"}


def test_the_images_that_count_are_those_most_recipes_held_out():
    fold0, fold4 = {f"a{number}" for number in range(85)}, {f"b{number}" for number in range(90)}
    three = {RecipeView(name, "identity"): fold0 for name in ("r50", "x101", "vit")}
    assert set(reference_images({**three, RecipeView("cbnet", "identity"): fold4})) == fold0
    # One fold of b among all folds of a: a's images count, and b is measured on its own of them.
    some = {RecipeView("a", "identity"): fold0 | fold4, RecipeView("b", "identity"): {"a0", "b1"}}
    assert set(reference_images(some)) == fold0 | fold4
    assert reference_images({}) == ()
