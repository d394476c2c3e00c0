"""Make a page from a template: one HTML file that refers to no other file and may load nothing."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from kit.local.pages.charts import series_css
from kit.local.pages.overlays import PREDICTION_RGB, TRUTH_RGB

_HASHES = "HASHES-OF-SCRIPTS"
"""Stands in the page until all its scripts are known."""


def render(template: Path, **values: Any) -> str:
    """Return the page of a template, which extends `base.html` of this folder.

    The page's Content-Security-Policy lets the browser run the scripts of this folder, known by their hash,
    and show pictures that are in the page. It forbids every request.

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
    hashes: list[str] = []

    def script(name: str) -> Markup:
        text = f"\n{own_file(name)}\n"
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes.append(f"'sha256-{digest}'")
        return Markup(f"<script>{text}</script>")  # noqa: S704  # our own files

    environment.globals |= {
        "script": script,
        "style": style,
        "licence": lambda: own_file("openseadragon/LICENSE.txt"),
        "script_hashes": Markup(_HASHES),  # noqa: S704  # ours
    }
    page = environment.get_template(template.name).render(**values)
    return page.replace(_HASHES, " ".join(dict.fromkeys(hashes)), 1)


def own_file(name: str) -> str:
    """Return the text of a file of this folder: a script, a style, a licence."""
    return resources.files("kit.local.pages").joinpath(name).read_text(encoding="utf-8")


def style() -> Markup:
    """Return the look that all pages share."""
    text = own_file("page.css") + own_file("gallery.css")
    colours = {"TRUTH": _css(TRUTH_RGB), "PREDICTION": _css(PREDICTION_RGB), "SERIES": series_css()}
    for word, value in colours.items():
        text = text.replace(f" {word};", f" {value};").replace(f" {word}\n", f" {value}\n")
    return Markup(text)  # noqa: S704  # our own files


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
