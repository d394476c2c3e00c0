"""Truth of a folder: where it is looked for, and that nothing is read or decoded twice."""

import pytest

from kit.errors import KitError


def test_training_ids_are_sorted(kidney):
    assert kidney.labelled().train_ids() == ["aa", "bb"]


def test_truth_of_held_out_images_comes_from_the_solution(each):
    truth = each.truth(["cc", "aa"])
    assert list(truth) == ["cc", "aa"]
    with pytest.raises(KitError, match="no truth for 2 images, the first is x") as caught:
        each.truth(["x", "aa", "y"])
    assert " and ".join(each.labelled().files) in caught.value.fix


def test_training_truth_goes_before_the_solution(kidney):
    expected = kidney.truth(["aa"])["aa"].runs.tolist()
    kidney.table("solution.csv", ("id", "encoding"), ("aa", "1 1"))
    assert kidney.truth(["aa"])["aa"].runs.tolist() == expected != []
