"""Which class was taken for which, and for which predictions there is such a table."""

import pytest

from kit.local.pages.confusion import confusion
from kit.masks import rle
from kit.predictions import SemanticMask, Values

MASK = SemanticMask(2, 2, rle.empty())


def one(name):
    return Values({"kind": name})


def test_words_are_counted_by_their_true_class():
    table = confusion(
        {"a": (one("cat"), one("cat")), "b": (one("cat"), one("dog")), "c": (one("dog"), one("dog"))}
    )
    assert table.names == ["cat", "dog"]
    assert dict(table.rows) == {"cat": [1, 1], "dog": [0, 1]}
    assert table.left_out == 0


def test_of_numbers_the_largest_names_the_class():
    truth, found = Values({"cat": 0, "dog": 1, "bird": 0}), Values({"cat": 0.5, "dog": 0.3, "bird": 0.2})
    assert dict(confusion({"a": (truth, found)}).rows) == {"cat": [0, 0], "dog": [1, 0]}


def test_rare_classes_are_left_out_of_a_table_that_would_be_too_large():
    images = {
        f"{n}-{k}": (one(f"class{n:02}"), one(f"class{n:02}")) for n in range(25) for k in range(1 + (n < 20))
    }
    table = confusion(images)
    assert len(table.names) == 20
    assert table.left_out == 5


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        (MASK, one("cat")),
        (one("cat"), None),
        (one("cat"), MASK),
        (Values({"height": 1.7}), Values({"height": 1.6})),
        (one("cat"), Values({"height": 1.6})),
        (Values({"cat": 1, "dog": 1}), Values({"cat": 1, "dog": 0})),
        (Values({"cat": 1, "dog": "yes"}), Values({"cat": 1, "dog": 0})),
        (Values({"cat": 1, "dog": 0}), Values({"cat": "a", "dog": "b"})),
    ],
)
def test_other_predictions_have_no_such_table(truth, found):
    assert confusion({"a": (truth, found)}) is None


def test_without_images_there_is_none():
    assert confusion({}) is None
