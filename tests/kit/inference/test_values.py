"""Values: fused by weight or vote, with a doubt that grows with disagreement; seen at once, under views."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.artefacts import write_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference import values_engine, views
from kit.inference.fusion import PassResult, fuse
from kit.inference.store import mark_of
from kit.inference.values_fusion import doubt_of_values, fuse_values
from kit.inference.values_settings import ValuesFusion, ValuesSettings

numbers = st.floats(-1e6, 1e6)
weights = st.floats(0.01, 100)


@given(st.lists(st.tuples(numbers, weights), min_size=1, max_size=6))
def test_mean_and_median_lie_between_the_least_and_the_largest(pairs):
    found, weight = [{"a": value} for value, _ in pairs], [w for _, w in pairs]
    low, high = min(v for v, _ in pairs), max(v for v, _ in pairs)
    for how in ("mean", "median"):
        value = fuse_values(found, weight, ValuesFusion(numbers=how), where="x")["a"]
        assert low - 1e-6 <= value <= high + 1e-6


@pytest.mark.parametrize(
    ("found", "weight", "median"),
    [
        ([9.0, 1.0, 2.0], [1, 1, 1], 2.0),
        ([3.0, 1.0], [1, 1], 2.0),
        ([1.0, 3.0], [1, 2], 3.0),
        ([5.0], [1], 5.0),
    ],
)
def test_the_median_has_half_of_the_weight_on_each_side(found, weight, median):
    values = [{"a": value} for value in found]
    assert fuse_values(values, weight, ValuesFusion(numbers="median"), where="x") == {"a": median}


@given(st.lists(st.tuples(numbers, weights), min_size=1, max_size=6), st.floats(0.1, 10))
def test_only_ratios_of_weights_count(pairs, factor):
    found, weight = [{"a": value} for value, _ in pairs], [w for _, w in pairs]
    one = fuse_values(found, weight, ValuesFusion(), where="x")["a"]
    other = fuse_values(found, [w * factor for w in weight], ValuesFusion(), where="x")["a"]
    assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1), weights), min_size=1, max_size=5))
def test_doubts_lie_in_0_and_1(pairs):
    assert 0 <= doubt_of_values([{"a": value} for value, _ in pairs], [w for _, w in pairs]) < 1


def test_words_are_voted_and_the_first_wins_a_tie():
    found = [{"w": "b"}, {"w": "a"}, {"w": "a"}]
    assert fuse_values(found, [1, 1, 1], ValuesFusion(), where="x") == {"w": "a"}
    assert fuse_values(found, [2, 1, 1], ValuesFusion(), where="x") == {"w": "b"}
    assert doubt_of_values(found, [1, 1, 2]) == pytest.approx(0.25 / 1.25)


def test_members_that_disagree_or_are_unsure_doubt_more():
    sure, unsure = doubt_of_values([{"p": 0.99}], [1]), doubt_of_values([{"p": 0.5}], [1])
    agree = doubt_of_values([{"n": 5.0}, {"n": 5.0}], [1, 1])
    differ = doubt_of_values([{"n": 5.0}, {"n": 9.0}], [1, 1])
    assert sure < unsure
    assert agree == 0 < differ


@pytest.mark.parametrize(("first", "second"), [({"a": 1.0}, {"b": 1.0}), ({"a": 1.0}, {"a": "x"})])
def test_members_of_different_values_are_refused(first, second):
    with pytest.raises(KitError, match=r"another|word"):
        fuse_values([first, second], [1, 1], ValuesFusion(), where="image 1")


def test_an_image_is_reduced_and_turned_as_the_view_says():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40] = 200
    shown = values_engine.seen(image, views.get("hflip"), ValuesSettings(size=20))
    assert shown.shape == (10, 20, 3)
    assert shown[:, 15].min() == 200
    assert shown[:, 2].max() == 0
    assert values_engine.seen(image, views.get("rot90"), ValuesSettings()).shape == (80, 40, 3)
    turned = values_engine.seen(image, views.get("rot90"), ValuesSettings())
    assert np.array_equal(turned, np.rot90(image))


@pytest.mark.parametrize("found", [{}, {"a": float("nan")}, {"a": float("inf")}])
def test_what_is_no_number_is_refused(found):
    with pytest.raises(KitError):
        values_engine.numbers_of(found, "image 1")


def test_only_broken_numbers_show_that_two_members_are_one(tmp_path):
    """Good members agree on words and on whole numbers."""
    marks = {}
    for member in ("a", "b"):
        for name, value in (("word", "benign"), ("count", 3.0), ("number", 0.25)):
            path = tmp_path / member / f"{name}.json"
            write_json(path, {"value": value})
            marks[member, name] = mark_of(path)[0]
    assert marks["a", "word"] != marks["b", "word"]
    assert marks["a", "count"] != marks["b", "count"]
    assert marks["a", "number"] == marks["b", "number"]


def test_what_a_model_does_to_its_image_stays_with_it():
    image_HWC = np.full((4, 5, 3), 7, np.uint8)
    values_engine.seen(image_HWC, views.get("identity"), ValuesSettings())[:] = 0
    assert (image_HWC == 7).all()


def test_stored_values_are_fused_and_a_damaged_file_is_told(tmp_path):
    member = Member(
        name="m", weights="m.safetensors", sha256="0", size=0, network={}, inference={}, requires=[]
    )
    results = []
    for number, value in enumerate((0.2, 0.8)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"p": value}))
        results.append(PassResult(file=path, weight=[3.0, 1.0][number], member=member))
    fused = fuse(results, {}, (1, 1), kind="values", image_id="a")
    assert fused.prediction.values == {"p": pytest.approx(0.35)}
    results[0].file.write_text("[1]")
    with pytest.raises(KitError, match="damaged"):
        fuse(results, {}, (1, 1), kind="values", image_id="a")
