import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from train_local.data import published_folds, split
from train_local.data.folds import Fold
from train_local.data.split import Labelled

PAIRS = [
    ["0486052bb", "e79de561c"],
    ["2f6ecfcdf", "afa5e8098"],
    ["1e2425f28", "8242609fa"],
    ["c68fe75ea", "cb2d976f4"],
]
SLIDES = [slide for pair in PAIRS for slide in pair] + [f"other{number}" for number in range(7)]
# Tiles of which the two WSIs alternate in the shares of the competition: 270 and 152.
WSIS = {
    f"t{number:03}": "2" if (number + 1) * 152 // 422 > number * 152 // 422 else "1" for number in range(422)
}
STRATIFIED_K_FOLD = "2ea6abc2fc59a90f2e3ff784cb3482d6d6dd1add3c378cce6fdf794afea41b8c"
"""Of scikit-learn 1.9.1: fold numbers of StratifiedKFold(5, shuffle=True, random_state=42) as one text."""


def tiles(*, columns=10, rows=6, dataset=1, wsi="1", first=0, left=0):
    """A grid of touching tiles of 512 pixels."""
    return {
        f"{dataset}{wsi}{number + first:04}": (wsi, dataset, (left + 512 * column, 512 * row, 512, 512))
        for number, (column, row) in enumerate((c, r) for c in range(columns) for r in range(rows))
    }


def labelled(grid):
    return Labelled(
        groups={key: wsi for key, (wsi, _, _) in grid.items()},
        organs=dict.fromkeys(grid, "kidney"),
        datasets={key: dataset for key, (_, dataset, _) in grid.items()},
        areas={key: area for key, (_, _, area) in grid.items()},
    )


def test_the_published_kidney_folds_hold_out_four_pairs_and_always_train_on_seven_slides():
    made = split.make(None, "kidney", Labelled(groups={slide: slide for slide in SLIDES}))
    assert made.rule == "published"
    assert [list(fold.valid) for fold in made.folds] == [sorted(pair) for pair in PAIRS]
    for fold in made.folds:
        assert len(fold.train) == 13
        assert not set(fold.train) & set(fold.valid)
    never = set(SLIDES) - {slide for fold in made.folds for slide in fold.valid}
    assert len(never) == 7
    assert made.notes == []


@pytest.mark.parametrize(
    ("rule", "organs", "strata"),
    [("group", ("a", "b"), "quarters of age"), ("group", ("a", "a"), ""), ("stratified", ("a", "b"), "")],
)
def test_a_split_says_what_it_is_stratified_by(rule, organs, strata):
    ids = [str(number) for number in range(8)]
    images = Labelled(
        groups={item: item for item in ids},
        organs={item: organs[place % 2] for place, item in enumerate(ids)},
        strata="quarters of age",
    )
    assert split.make(rule, "ages", images, 2).strata == strata


def test_the_published_vasculature_folds_are_those_of_scikit_learn():
    made = published_folds.vasculature(WSIS)
    fold_of = {tile: fold.index for fold in made for tile in fold.valid}
    dealt = "".join(str(fold_of[tile]) for tile in WSIS)
    assert hashlib.sha256(dealt.encode()).hexdigest() == STRATIFIED_K_FOLD
    assert [len(fold.valid) for fold in made] == [85, 85, 84, 84, 84]
    assert [len(fold.train) for fold in made] == [337, 337, 338, 338, 338]


def test_published_vasculature_folds_always_train_on_dataset_2_and_say_that_they_leak():
    areas = {tile: (512 * number, 0, 512, 512) for number, tile in enumerate(WSIS)}
    second = {f"s{number}": wsi for number, wsi in enumerate("112234")}
    images = Labelled(
        groups=WSIS | second,
        datasets=dict.fromkeys(WSIS, 1) | dict.fromkeys(second, 2),
        areas=areas | dict.fromkeys(second, (0, 9000, 512, 512)),
    )
    made = split.make("published", "vasculature", images)
    assert made.rule == "published"
    for fold in made.folds:
        assert set(second) <= set(fold.train)
        assert not set(second) & set(fold.valid)
    (alarm,) = made.notes
    assert "alarm: 2 of 4 groups are on both sides of a fold" in alarm
    assert "held-out tiles touch a training tile" in alarm


def test_the_published_body_folds_hold_out_a_fifth_of_each_organ_once():
    organs = {
        f"{organ}{number}": organ
        for organ, count in (("lung", 48), ("spleen", 53))
        for number in range(count)
    }
    made = split.make(None, "body", Labelled(groups={key: key for key in organs}, organs=organs))
    assert made.rule == "published"
    assert len(made.folds) == 4
    held = [item for fold in made.folds for item in fold.valid]
    assert len(set(held)) == len(held)
    for fold in made.folds:
        assert sum(organs[item] == "lung" for item in fold.valid) == 9
        assert sum(organs[item] == "spleen" for item in fold.valid) == 10
    assert len(organs) - len(held) == 101 - 4 * 19
    assert made == split.make(
        "published", "body", Labelled(groups={key: key for key in organs}, organs=organs)
    )


@pytest.mark.parametrize(
    ("competition", "images", "rule", "reason"),
    [
        ("kidney", Labelled(groups={"a": "a", "b": "b"}), "group", "8 slides that are not all here"),
        ("vasculature", labelled(tiles()), "strips", "270 + 152 tiles of dataset 1"),
        (
            "body",
            Labelled(groups={"a": "a", "b": "b"}, organs={"a": "lung", "b": "lung"}),
            "group",
            "5 images",
        ),
    ],
)
def test_other_images_than_the_published_ones_get_an_honest_split_and_a_note(
    competition, images, rule, reason
):
    made = split.make("published", competition, images)
    assert made.rule == rule
    assert any(
        text.startswith("note: the published folds are not used") and reason in text for text in made.notes
    )
    assert made == split.make(None, competition, images)


def test_another_number_of_folds_than_published_gives_an_honest_split():
    made = split.make(None, "kidney", Labelled(groups={slide: slide for slide in SLIDES}), 5)
    assert (made.rule, len(made.folds)) == ("group", 5)
    assert any("there are 4 of them" in text for text in made.notes)


def test_a_competition_without_published_folds_gets_no_note():
    assert split.make(None, "glands", Labelled(groups={"a": "a", "b": "b"})).notes == []


def test_strips_hold_out_dataset_1_and_do_not_train_on_tiles_of_dataset_2_that_touch_it():
    first = tiles()
    second = tiles(columns=10, rows=1, dataset=2, first=500) | tiles(
        columns=1, rows=1, dataset=2, first=600, left=100_000
    )
    images = labelled(first | second)
    made = split.make("strips", "vasculature", images, 5)
    assert sorted(item for fold in made.folds for item in fold.valid) == sorted(first)
    for fold in made.folds:
        for tile in second:
            apart = not any(split.touch(images, tile, held) for held in fold.valid)
            assert (tile in fold.train) == apart
        assert "210600" in fold.train, "a tile far away is always trained on"
    assert any("leaves out" in text and 'part "all"' in text for text in made.notes)


def test_groups_leave_the_held_out_wsi_out_of_dataset_2():
    images = labelled(
        tiles(wsi="1")
        | tiles(wsi="2")
        | tiles(columns=1, dataset=2, wsi="1")
        | tiles(columns=1, dataset=2, wsi="3")
    )
    made = split.make("group", "vasculature", images)
    for fold in made.folds:
        assert not {images.groups[item] for item in fold.train} & {images.groups[item] for item in fold.valid}
        assert any(images.groups[item] == "3" for item in fold.train)
    assert not any("both sides" in text for text in made.notes)


@given(st.integers(-2000, 2000), st.integers(-2000, 2000))
def test_tiles_touch_if_their_squares_share_a_point(x, y):
    images = Labelled(groups={"a": "1", "b": "1"}, areas={"a": (0, 0, 512, 512), "b": (x, y, 512, 512)})
    assert split.touch(images, "a", "b") == (abs(x) <= 512 and abs(y) <= 512)
    assert not split.touch(replace(images, groups={"a": "1", "b": "2"}), "a", "b")


def test_spoilt_folds_are_named():
    known = dict.fromkeys("abc")
    sound = Fold(0, ("a", "b"), ("c",))
    split.require_sound([sound], known, "prepared.json")
    for spoilt, words in (
        (
            Fold(1, ("a", "b", "c"), ("c",)),
            "fold 1 trains on 1 of the images that it validates, the first is c",
        ),
        (Fold(1, (), ("c",)), "fold 1 has no image to train on"),
        (Fold(1, ("a",), ()), "fold 1 has no image to validate on"),
        (Fold(1, ("a",), ("z",)), "fold 1 names image z, which is not prepared"),
    ):
        with pytest.raises(KitError, match=words) as error:
            split.require_sound([sound, spoilt], known, "prepared.json")
        assert "prepare" in str(error.value)


def test_uneven_folds_are_told():
    images = Labelled(groups={item: item for item in "abcdefgh"})
    made = [Fold(0, ("a",), ("b",)), Fold(1, ("a",), tuple("cdefgh"))]
    assert any("hold out 1 to 6 images" in text for text in split.hygiene(made, images))


def test_strips_without_positions_are_refused():
    with pytest.raises(KitError, match="strips need the tiles' positions"):
        split.make("strips", "glands", Labelled(groups={"a": "x", "b": "y"}), 2)


def test_tiles_are_dealt_whatever_their_neighbours_if_that_is_asked_for():
    images = Labelled(groups={f"{number}": "one slide" for number in range(10)})
    made = split.make("stratified", "glands", images)
    assert (made.rule, [len(fold.valid) for fold in made.folds]) == ("stratified", [2] * 5)
    assert sorted(item for fold in made.folds for item in fold.valid) == sorted(images.groups)
    # Without positions nobody knows which tiles touch.
    assert any("1 of 1 groups are on both sides of a fold; the out-of-fold" in note for note in made.notes)
