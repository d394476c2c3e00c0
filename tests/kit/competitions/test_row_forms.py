"""Ids of rows, fallback rows and the order of the sample: for any classes, and for any order."""

import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions import row_forms
from kit.competitions.cells_format import Cells
from kit.competitions.listing import Listing, read_listing
from kit.competitions.parsing import parse
from kit.errors import KitError

VALUES = {
    "name": "v",
    "slug": "v",
    "kind": "values",
    "classes": ["a", "b_a", "c"],
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {"form": "table", "file": "train.csv"},
    "submission": {"id": "ID", "row_id": "{id}_{class}", "value": "Label"},
    "metric": {"name": "log loss"},
}
MASKS = {
    **VALUES,
    "kind": "semantic",
    "truth": {"form": "images", "file": "{id}.png"},
    "submission": {"class_column": "class", "mask": "rle", "height": "h", "width": "w", "empty": "-1"},
    "metric": {"name": "mean Dice"},
}
LETTERS = st.characters(min_codepoint=33, max_codepoint=0x2FF)
NAMES = st.text(LETTERS, min_size=1, max_size=8).filter(lambda text: text == text.strip())


@given(NAMES, st.lists(NAMES, min_size=1, max_size=5, unique=True), st.data(), st.booleans())
def test_an_id_and_a_class_come_back_from_their_row(image, labels, data, own_column):
    form = Cells(class_column="class") if own_column else Cells(row_id="{id}:{class}")
    if not own_column and any(":" in text for text in (image, *labels)):
        return
    known = row_forms.RowIds(form, labels)
    number = data.draw(st.integers(0, len(labels) - 1))
    assert known.split(known.cells(image, number)) == (image, number)


def test_of_two_classes_that_fit_the_longer_one_counts_unless_no_id_is_left():
    known = row_forms.RowIds(Cells(row_id="{id}_{class}"), ["a", "b_a"])
    assert known.split({"id": "x_b_a"}) == ("x", 1)
    assert known.split({"id": "b_a"}) == ("b", 0)


@pytest.mark.parametrize(
    ("form", "cells", "problem"),
    [
        (Cells(row_id="{id}_{class}"), {"id": "x_liver"}, "id is 'x_liver', not {id}_{class}"),
        (Cells(row_id="{id}_{class}"), {"id": "_gut"}, "id is '_gut'"),
        (Cells(class_column="kind"), {"id": "x", "kind": "liver"}, "kind is 'liver'"),
    ],
)
def test_a_row_that_is_of_nothing_known_is_an_error(form, cells, problem):
    with pytest.raises(KitError, match=re.escape(problem)):
        row_forms.RowIds(form, ["gut", "lung"]).split(cells)


@given(st.permutations([f"{i}_{c}" for i in "xy" for c in ("a", "b_a", "c")]))
def test_rows_come_in_the_order_of_the_sample_with_its_values(order):
    definition = parse(VALUES)
    listing = Listing(rows=[{"ID": name, "Label": f"0.{n + 1}"} for n, name in enumerate(order)])
    sample = row_forms.by_key(definition, listing)
    made = [row for image in "yx" for row in row_forms.nothing(definition, image, (1, 1), sample)]
    assert row_forms.ordered(definition, made, sample) == listing.rows


def test_values_that_the_sample_lacks_are_zero_and_come_last():
    definition = parse(VALUES)
    sample = row_forms.by_key(
        definition, Listing(rows=[{"ID": "x_c", "Label": ""}, {"ID": "x_a", "Label": "7"}])
    )
    made = row_forms.ordered(definition, row_forms.nothing(definition, "x", (1, 1), sample), sample)
    assert made == [{"ID": "x_c", "Label": "0"}, {"ID": "x_a", "Label": "7"}, {"ID": "x_b_a", "Label": "0"}]


def test_words_of_the_sample_stand_in_the_fallback_if_they_are_classes():
    words = parse(
        {**VALUES, "targets": ["risk"], "submission": {"value": "Label"}, "metric": {"name": "accuracy"}}
    )
    sample = row_forms.by_key(
        words, Listing(rows=[{"id": "x", "Label": "b_a"}, {"id": "y", "Label": "none"}])
    )
    made = [row for image in "xyz" for row in row_forms.nothing(words, image, (1, 1), sample)]
    assert [row["Label"] for row in made] == ["b_a", "a", "a"]


def test_sizes_of_rows_become_sizes_of_their_images():
    definition = parse(
        {**MASKS, "submission": {**MASKS["submission"], "row_id": "{id}_{class}", "class_column": ""}}
    )
    listing = Listing(rows=[{"id": "x_a"}, {"id": "x_c"}, {"id": "y_a"}], sizes={"x_a": (3, 4)})
    row_forms.take_images(definition, listing)
    assert (listing.ids, listing.sizes) == (["x", "y"], {"x": (3, 4)})


def test_masks_are_empty_for_every_class_of_the_size_of_the_image():
    rows = row_forms.nothing(parse(MASKS), "x", (3, 4), {})
    assert [row["class"] for row in rows] == ["a", "b_a", "c"]
    assert {(row["id"], row["h"], row["w"], row["rle"]) for row in rows} == {("x", "3", "4", "-1")}


def test_rows_of_the_sample_that_are_of_no_class_are_left_out_with_a_note(tmp_path):
    definition = parse(VALUES)
    path = tmp_path / "sample.csv"
    path.write_text("ID,Label\nx_a,1\nx_liver,2\ny_c,3\nnothing,4\n")
    listing = read_listing(path, definition.submission, definition.columns, rows=True)
    row_forms.take_images(definition, listing)
    assert listing.ids == ["x", "y"]
    assert "ID is 'x_liver'" in listing.notes[0]
    assert listing.notes[1] == "2 rows of the sample submission are left out"


def test_a_large_sample_needs_no_image_of_its_own_for_each_row():
    # 30000 images of 3 rows: linear in the number of rows, or this takes minutes.
    definition = parse(VALUES)
    listing = Listing(
        rows=[{"ID": f"{i}_{c}", "Label": "0.5"} for i in range(30000) for c in ("a", "b_a", "c")]
    )
    row_forms.take_images(definition, listing)
    sample = row_forms.by_key(definition, listing)
    made = [row for image in listing.ids for row in row_forms.nothing(definition, image, (1, 1), sample)]
    assert row_forms.ordered(definition, made, sample) == listing.rows


def test_what_a_script_carries_depends_on_the_rows():
    assert (parse(VALUES).module, parse(MASKS).module) == ("values", "semantic_rows")
    assert not parse(VALUES).plain
    assert SimpleNamespace(**vars(parse(VALUES))).targets == ("a", "b_a", "c")
