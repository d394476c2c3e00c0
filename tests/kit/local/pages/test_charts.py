from xml.etree import ElementTree as ET

from kit.local.pages.charts import curves, running_mean

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


def test_losses_are_smoothed_over_a_twentieth_of_the_run():
    assert running_mean([1.0, 3.0]) == [1.0, 3.0]
    smooth = running_mean([float(number) for number in range(200)])
    assert (smooth[2], smooth[49]) == (1.0, 44.5)


def test_names_are_text_and_no_formulas_or_elements():
    names = {"a $x_1$": ([1], [1]), "<script>": ([1], [2])}
    assert names.keys() <= texts(curves(names, x_label="x", y_label="y"))
