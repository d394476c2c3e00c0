"""Lines and words of charts stand out from the page, light and dark."""

import re

import pytest

from kit.local.pages import charts
from kit.local.pages.render import own_file, style


def luminance(colour):
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    dark, light = sorted([luminance(a), luminance(b)])
    return (light + 0.05) / (dark + 0.05)


def pair(name):
    """The light and the dark value of a variable of the style."""
    return re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", str(style())).groups()


def test_contrast_is_computed_as_the_guideline_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)


@pytest.mark.parametrize("look", [0, 1], ids=["light", "dark"])
def test_every_line_stands_out_from_the_page(look):
    page = pair("page")[look]
    assert len(charts.SERIES) == 12
    for number, colours in enumerate(charts.SERIES):
        assert pair(f"series-{number}") == colours
        assert contrast(colours[look], page) >= 3, colours


@pytest.mark.parametrize("look", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_the_page_and_from_what_is_raised(look):
    for back in ("page", "raised", "stage"):
        for name in ("text", "soft", "failed", "good", "link"):
            assert contrast(pair(name)[look], pair(back)[look]) >= 4.5, (name, back)


def test_a_chart_of_a_page_takes_its_colours_from_the_page():
    chart = charts.curves({"a": ([1, 2], [1, 2]), "b": ([1, 2], [2, 1])}, x_label="x", y_label="y")
    assert all(word in chart for word in ("var(--series-0)", "var(--series-1)", "currentColor"))
    assert not re.findall(r": #(?!4d|b0|cc)\w+", chart), "no colour of its own"
    assert 'role="img" aria-label="y over x"' in chart


def test_ids_of_two_charts_differ():
    ids = [
        set(re.findall(r'id="([^"]+)"', charts.curves({"a": ([1, 2], values)}, x_label="x", y_label="y")))
        for values in ([1, 2], [2, 1])
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_the_viewer_is_the_published_file():
    import hashlib

    source = own_file("openseadragon/SOURCE.txt")
    digest = hashlib.sha256(own_file("openseadragon/openseadragon.min.js").encode()).hexdigest()
    assert digest in source
    assert "Redistribution" in own_file("openseadragon/LICENSE.txt")
