from xml.etree import ElementTree as ET

from submission.report.charts import Bar, curves, timeline

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return {element.text for element in ET.fromstring(svg).iter(f"{SVG}text")}


def test_curves_name_axes_and_lines_as_text():
    svg = curves(
        {"fold0": ([1, 2, 3], [0.9, 0.5, 0.4]), "fold1": ([1, 2], [0.8, 0.7])}, x_label="step", y_label="loss"
    )
    assert {"step", "loss", "fold0", "fold1"} <= texts(svg)


def test_one_line_needs_no_legend():
    assert "only" not in texts(curves({"only": ([1, 2], [1, 2])}, x_label="x", y_label="y"))


def test_a_log_without_points_still_draws():
    assert ET.fromstring(curves({"fold0": ([], [])}, x_label="x", y_label="y", log=True)) is not None


def test_timeline_has_a_lane_for_each_worker_and_marks_moments():
    bars = [
        Bar("supervisor", "install", 0.0, 2.0),
        Bar("worker 0", "pass 1", 2.0, 5.0),
        Bar("worker 1", "pass 1", 2.0, 4.0),
    ]
    svg = timeline(bars, [(2.5, "first forward pass")], budget=8.0)
    assert {"supervisor", "worker 0", "worker 1", "install", "pass 1", " first forward pass"} <= texts(svg)


def test_the_same_chart_is_the_same_text():
    bars = [Bar("worker 0", "pass 1", 0.0, 1.0)]
    assert timeline(bars, [], budget=None) == timeline(bars, [], budget=None)
