"""Metrics of values against formulas written out, on numbers that anybody can check."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions.parsing import parse
from kit.errors import KitError
from kit.local.metrics.of_values import score_values
from kit.predictions import Values

BASE = {
    "name": "v",
    "slug": "v",
    "kind": "values",
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif"},
    "truth": {"form": "table", "file": "train.csv"},
    "submission": {},
    "metric": {"name": "MAE"},
}


def definition(metric, targets=("x", "y"), classes=(), **settings):
    made = {
        **BASE,
        "targets": list(targets),
        "classes": list(classes),
        "metric": {"name": metric, **settings},
    }
    return parse(made)


def score(form, true, found):
    tables = (
        {f"i{n}": Values(dict(zip(form.targets, row, strict=True))) for n, row in enumerate(rows)}
        for rows in (true, found)
    )
    return score_values(form, *tables)


NUMBERS = st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 4), min_size=1, max_size=6)


@given(NUMBERS)
def test_errors_are_means_over_all_cells(cells):
    true, found = [row[:2] for row in cells], [row[2:] for row in cells]
    gaps = np.array(true) - np.array(found)
    assert score(definition("RMSE"), true, found) == pytest.approx(math.sqrt((gaps**2).mean()))
    assert score(definition("MAE"), true, found) == pytest.approx(abs(gaps).mean())


CHANCES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6
)


@given(CHANCES, st.floats(0.1, 9))
def test_log_loss_is_the_weighted_mean_over_cells(cells, weight):
    form = definition("log loss", weights={"y": weight})
    loss = total = 0.0
    for *true, first, second in cells:
        for answer, chance, own in ((true[0], first, 1.0), (true[1], second, weight)):
            kept = min(max(chance, 1e-15), 1 - 1e-15)
            loss -= own * math.log(kept if answer else 1 - kept)
            total += own
    found = score(form, [row[:2] for row in cells], [row[2:] for row in cells])
    assert found == pytest.approx(loss / total, rel=1e-6, abs=1e-9)


def test_multi_class_log_loss_divides_a_row_by_its_sum():
    form = definition("multi-class log loss", ("a", "b", "c"))
    # 2 / 4 for the right class: ln 2; and 0.25 as it stands: ln 4.
    found = score(form, [(1, 0, 0), (0, 0, 1)], [(0.4, 0.2, 0.2), (0.5, 0.25, 0.25)])
    assert found == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    form = definition("AUC")
    true = [(1, 0), (0, 1), (1, 1), (0, 0)]
    found = [(0.9, 0.1), (0.8, 0.4), (0.7, 0.3), (0.1, 0.35)]
    # x: of the pairs 0.9 > 0.8, 0.9 > 0.1, 0.7 < 0.8, 0.7 > 0.1 three are right; y: 0.4 > 0.1, 0.4 > 0.35,
    # 0.3 > 0.1, 0.3 < 0.35: three of four.
    assert score(form, true, found) == pytest.approx(0.75)
    with pytest.raises(KitError, match=r"AUC of x is not defined: its truth has the values \[1.0\]"):
        score(form, [(1, 0), (1, 1)], [(0, 0), (0, 1)])


def test_accuracy_takes_the_largest_of_several_targets():
    assert score(definition("accuracy", ("a", "b")), [(1, 0), (0, 1)], [(0.3, 0.2), (0.9, 0.1)]) == 0.5
    assert score(definition("accuracy", ("a",)), [(3,), (1,), (0,)], [(3.2,), (1,), (1,)]) == pytest.approx(
        2 / 3
    )


def test_quadratic_kappa_punishes_by_the_square_of_the_distance():
    form = definition("quadratic kappa", ("grade",))
    true, found = [0, 1, 2, 2], [0, 2, 2, 0]
    # Observed: (0 + 1 + 0 + 4) / 4. By chance, over all pairs of a true and a found grade: the mean square.
    chance = np.mean([(t - f) ** 2 for t in true for f in found])
    expected = 1 - (5 / 4) / chance
    assert score(form, [(t,) for t in true], [(f,) for f in found]) == pytest.approx(expected)
    words = definition("quadratic kappa", ("grade",), ("none", "mild", "severe"))
    named = ("none", "mild", "severe")
    assert score(words, [(named[t],) for t in true], [(named[f],) for f in found]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("average", "expected"),
    [
        # x: 1 hit, 1 false, 1 missed: F1 = 1/2. y: 1 hit, no other: F1 = 1.
        ("macro", (1 / 2 + 1) / 2),
        # Together: 2 hits, 1 false, 1 missed: F1 = 4 / 6.
        ("micro", 4 / 6),
        # Images: {x} and {x}: 1; {x, y} and {y}: 2/3; {} and {x}: 0; {} and {}: 1.
        ("samples", (1 + 2 / 3 + 0 + 1) / 4),
    ],
)
def test_f1_over_targets_together_or_over_images(average, expected):
    form = definition("F-beta", average=average)
    true = [(1, 0), (1, 1), (0, 0), (0, 0)]
    found = [(0.9, 0), (0.2, 0.5), (1, 0), (0, 0.49)]
    assert score(form, true, found) == pytest.approx(expected)
    words = definition("F-beta", ("found",), ("x", "y"), average=average)
    told = [" ".join(name for name, yes in zip("xy", row, strict=True) if yes >= 0.5) for row in found]
    named = [" ".join(name for name, yes in zip("xy", row, strict=True) if yes) for row in true]
    assert score(words, [(w,) for w in named], [(w,) for w in told]) == pytest.approx(expected)


def test_f2_of_one_target():
    # 1 hit, 1 false, 2 missed: precision 1/2, recall 1/3, F2 = 5 * 1/6 / (4 * 1/2 + 1/3).
    form = definition("F-beta", ("x",), beta=2)
    found = score(form, [(1,), (1,), (1,), (0,)], [(1,), (0,), (0,), (1,)])
    assert found == pytest.approx(5 / 6 / (2 + 1 / 3))


def test_several_words_of_a_cell_are_right_in_any_order():
    form = definition("accuracy", ("found",), ("x", "y"))
    assert score(form, [("x y",), ("x",)], [("y x",), ("y",)]) == 0.5


def test_an_image_without_a_prediction_is_told():
    form = definition("MAE", ("x",))
    with pytest.raises(KitError, match="image b has no prediction"):
        score_values(form, {"a": Values({"x": 1.0}), "b": Values({"x": 1.0})}, {"a": Values({"x": 1.0})})


def test_truth_of_log_loss_has_to_be_a_decision():
    with pytest.raises(KitError, match="neither 0 nor 1"):
        score(definition("log loss", ("x",)), [(0.5,)], [(0.5,)])


GRADES = st.lists(st.tuples(st.integers(-2, 9), st.integers(-2, 9)), min_size=1, max_size=12)


@given(GRADES)
def test_kappa_of_any_grades_also_where_some_grade_has_no_image(pairs):
    true, found = [row[0] for row in pairs], [row[1] for row in pairs]
    chance = np.mean([(t - f) ** 2 for t in true for f in found])
    expected = 1 - np.mean([(t - f) ** 2 for t, f in pairs]) / chance if chance else 1.0
    form = definition("quadratic kappa", ("grade",))
    assert score(form, [(t,) for t in true], [(f,) for f in found]) == pytest.approx(expected)
    names = [str(number) for number in range(-2, 10)]
    words = definition("quadratic kappa", ("grade",), names)
    told = score(words, [(str(t),) for t in true], [(str(f),) for f in found])
    assert told == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 2), *[st.floats(0.01, 1)] * 3), min_size=1, max_size=8))
def test_multi_class_log_loss_and_accuracy_of_any_shares(cells):
    true = [tuple(float(n == row[0]) for n in range(3)) for row in cells]
    found = [row[1:] for row in cells]
    of_class = [shares[label] / sum(shares) for (label, *_), shares in zip(cells, found, strict=True)]
    form = definition("multi-class log loss", ("a", "b", "c"))
    assert score(form, true, found) == pytest.approx(-np.mean(np.log(of_class)))
    right = [label == shares.index(max(shares)) for (label, *_), shares in zip(cells, found, strict=True)]
    assert score(definition("accuracy", ("a", "b", "c")), true, found) == pytest.approx(np.mean(right))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=12))
def test_auc_of_any_ranks_counts_ties_half(cells):
    of_yes, of_no = ([found for true, found in cells if true == side] for side in (1, 0))
    form = definition("AUC", ("x",))
    if not of_yes or not of_no:
        with pytest.raises(KitError, match="is not defined"):
            score(form, [(true,) for true, _ in cells], [(found,) for _, found in cells])
        return
    pairs = [(yes > no) + (yes == no) / 2 for yes in of_yes for no in of_no]
    told = score(form, [(true,) for true, _ in cells], [(found,) for _, found in cells])
    assert told == pytest.approx(np.mean(pairs))


@given(
    st.lists(st.tuples(*[st.integers(0, 1)] * 4), min_size=1, max_size=8),
    st.sampled_from(["macro", "micro", "samples"]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_f_beta_of_any_decisions(cells, average, beta):
    true_NT, found_NT = np.array(cells)[:, :2], np.array(cells)[:, 2:]

    def f_beta(true, found, nothing):
        hits, missed, wrong = (true & found).sum(), (true & ~found & 1).sum(), (~true & 1 & found).sum()
        total = (1 + beta**2) * hits + beta**2 * missed + wrong
        return (1 + beta**2) * hits / total if total else nothing

    ways = {
        "macro": lambda: np.mean([f_beta(true_NT[:, n], found_NT[:, n], 0.0) for n in (0, 1)]),
        "micro": lambda: f_beta(true_NT.ravel(), found_NT.ravel(), 0.0),
        "samples": lambda: np.mean([f_beta(t, f, 1.0) for t, f in zip(true_NT, found_NT, strict=True)]),
    }
    form = definition("F-beta", average=average, beta=beta)
    assert score(form, true_NT.tolist(), found_NT.tolist()) == pytest.approx(ways[average]())


@pytest.mark.parametrize(
    ("metric", "targets", "true", "words"),
    [
        # Numbers of classes were taken for "yes" from 0.5 on: the score would have been of something else.
        ("F-beta", ("x",), [(372,), (0,)], "F-beta is neither 0 nor 1: x is 372"),
        ("AUC", ("x",), [(1,), (2,)], "AUC is neither 0 nor 1"),
        ("accuracy", ("a", "b"), [(1, 1), (0, 1)], "2 classes for an image"),
        ("multi-class log loss", ("a", "b"), [(0, 0), (0, 1)], "0 classes for an image"),
        ("accuracy", ("x",), [(0.5,), (1,)], "0.5, no whole number"),
        ("quadratic kappa", ("x",), [(1.5,), (1,)], "1.5, no whole number"),
    ],
)
def test_truth_that_a_metric_cannot_mean_is_an_error(metric, targets, true, words):
    with pytest.raises(KitError, match=words):
        score(definition(metric, targets), true, [(0.5,) * len(targets)] * 2)
