"""Each fold of a competition of values gets its share of each class, or of small and large numbers."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kit.predictions import Values
from train_local.data import folds, strata
from train_local.data.strata import Strata


def truth(*rows):
    return {str(number): Values(row) for number, row in enumerate(rows)}


def test_words_marks_and_numbers():
    words = strata.of_values(truth({"w": "cat"}, {"w": "dog"}))
    assert words == Strata("w", {"0": "cat", "1": "dog"})
    marks = truth({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}, {"a": 0.0, "b": 0.0})
    assert strata.of_values(marks) == Strata("class", {"0": "a", "1": "b", "2": ""})
    quarters = strata.of_values(truth(*({"n": value} for value in (1.0, 2.0, 5.0, 9.0))))
    assert quarters.by == "quarters of n"
    assert sorted(quarters.of.values()) == ["0", "1", "2", "3"]
    assert strata.of_values({}) == Strata("", {})


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=8, max_size=60))
def test_every_fold_holds_out_its_share_of_a_class(marks):
    found = strata.of_values(truth(*({"a": mark} for mark in marks))).of
    made = folds.by_group({item: item for item in found}, 4, strata=found)
    of_class = Counter(found.values())
    for name, count in of_class.items():
        shares = [sum(found[item] == name for item in fold.valid) for fold in made]
        assert max(shares) - min(shares) <= 2, (count, shares)
