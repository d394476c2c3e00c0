"""Make a page from a template: one HTML file without references to other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

from kit.local.pages.overlays import PREDICTION_RGB, TRUTH_RGB


def render(template: Path, **values: Any) -> str:
    """Return the page of a template, which extends `base.html` of this folder.

    Args:
        template: the file. Everything that it shows is escaped, but what it marks as safe.
        values: of its variables.
    """
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(template.parent), PackageLoader("kit.local.pages", "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = {"truth_colour": _css(TRUTH_RGB), "prediction_colour": _css(PREDICTION_RGB)}
    return environment.get_template(template.name).render(**colours, **values)


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
