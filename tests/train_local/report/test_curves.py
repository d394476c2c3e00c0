from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from train_local.report.curves import learning_curves, thinned
from train_local.report.runs import RunRecord


def record(fold, lines):
    return RunRecord("unet", fold, Path(), {}, lines, {}, None)


def texts(svg):
    return {element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


@given(st.lists(st.integers(), max_size=50), st.integers(2, 20))
def test_thinned_points_are_in_order_and_keep_both_ends(points, most):
    kept = thinned(list(enumerate(points)), most)
    assert len(kept) == min(len(points), most)
    assert kept == sorted(kept, key=lambda point: point[0])
    assert kept[:1] == list(enumerate(points))[:1]
    assert kept[-1:] == list(enumerate(points))[-1:]


def test_a_chart_has_a_line_for_each_fold():
    lines = [{"step": 1, "loss": 2.0, "lr": 0.1}, {"step": 5, "metric": 0.5, "metric_name": "mean Dice"}]
    loss, metric, rate = learning_curves([record(0, lines), record(3, lines)])
    for chart, label in (
        (loss, "training loss (running mean)"),
        (metric, "mean Dice, held-out images"),
        (rate, "learning rate"),
    ):
        assert {label, "fold 0", "fold 3", "optimiser step"} <= texts(chart)


def test_what_was_not_logged_or_is_no_number_gives_no_chart():
    assert learning_curves([record(0, [])]) == []
    lines = [{"step": 1, "loss": float("nan"), "lr": 0.1}, {"step": 2, "metric": None}]
    (rate,) = learning_curves([record(0, lines)])
    assert "learning rate" in texts(rate)


def test_a_loss_of_zero_is_drawn_without_a_logarithm():
    lines = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.0}]
    assert len(learning_curves([record(0, lines)])) == 1
