from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from train_local.data import folds

groups_of = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60).map(
    lambda names: {f"{place:03}": name for place, name in enumerate(names)}
)


def assert_partition(made, ids):
    assert sorted(item for fold in made for item in fold.valid) == sorted(ids)
    for fold in made:
        assert set(fold.train) == set(ids) - set(fold.valid)


@given(groups_of, st.integers(2, 6), st.integers(0, 9))
def test_group_folds_hold_each_image_out_once_and_never_part_a_group(groups, count, seed):
    if len(set(groups.values())) < count:
        with pytest.raises(KitError, match=r"without parting a group|cannot make"):
            folds.by_group(groups, count, seed=seed)
        return
    made = folds.by_group(groups, count, seed=seed)
    assert_partition(made, groups)
    for fold in made:
        assert fold.valid
        assert not {groups[i] for i in fold.train} & {groups[i] for i in fold.valid}
    assert made == folds.by_group(dict(groups), count, seed=seed)


@given(groups_of, st.integers(2, 6), st.integers(0, 9))
def test_stratified_folds_hold_each_image_out_once_in_even_shares(groups, count, seed):
    if len(groups) < count:
        with pytest.raises(KitError, match=f"cannot make {count} folds"):
            folds.stratified(groups, count, seed=seed)
        return
    made = folds.stratified(groups, count, seed=seed)
    assert_partition(made, groups)
    for name in set(groups.values()):
        shares = [sum(groups[i] == name for i in fold.valid) for fold in made]
        assert max(shares) - min(shares) <= 1


def test_stratified_folds_have_the_published_sizes():
    wsis = {f"{place}": "1" if place < 270 else "2" for place in range(422)}
    assert [len(fold.valid) for fold in folds.stratified(wsis, 5, seed=42)] == [85, 85, 84, 84, 84]


@given(groups_of, st.integers(2, 6))
def test_strips_hold_each_image_out_once_and_are_contiguous(groups, count):
    positions = {item: (100 * place, 0) for place, item in enumerate(groups)}
    if len(groups) < count:
        with pytest.raises(KitError, match=f"cannot make {count} folds"):
            folds.strips(groups, positions, count)
        return
    made = folds.strips(groups, positions, count)
    assert_partition(made, groups)
    fold_of = {item: fold.index for fold in made for item in fold.valid}
    for name in set(groups.values()):
        walk = [fold_of[item] for item in groups if groups[item] == name]
        changes = sum(a != b for a, b in pairwise(walk))
        assert changes == len(set(walk)) - 1, "a fold's tiles of one WSI lie together"


def test_strips_are_cut_between_source_images_not_through_them():
    tiles = {f"{image}{part}": (1000 * image + 10 * part, 0) for image in range(10) for part in range(4)}
    made = folds.strips(dict.fromkeys(tiles, "wsi"), tiles, 3)
    for fold in made:
        assert not {item[0] for item in fold.train} & {item[0] for item in fold.valid}


def test_wrong_requests_say_what_to_do():
    with pytest.raises(KitError, match="with 1 fold nothing is left to validate on") as error:
        folds.by_group({"a": "x", "b": "y"}, 1)
    assert "--folds 2" in str(error.value)
    with pytest.raises(KitError, match="2 groups cannot make 3 folds") as error:
        folds.by_group({"a": "x", "b": "y", "c": "y"}, 3)
    assert "--folds 2 or fewer" in str(error.value)
    with pytest.raises(KitError, match="1 group cannot make 2 folds") as error:
        folds.by_group({"a": "x", "b": "x"}, 2)
    assert "add images of another group" in str(error.value)


def test_whole_groups_are_dealt_organ_by_organ():
    groups = {f"i{number}": f"g{number}" for number in range(40)}
    strata = {f"i{number}": "lung" if number < 10 else "kidney" for number in range(40)}
    for fold in folds.by_group(groups, 5, strata=strata):
        assert sum(strata[item] == "lung" for item in fold.valid) == 2
        assert len(fold.valid) == 8
    alone = folds.by_group(groups, 5)
    assert sorted(sum((fold.valid for fold in alone), ())) == sorted(groups)
