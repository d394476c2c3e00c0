"""Draw which rung the row of every image comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

from kit.local.pages.charts import ALARM, colours, on_page

_FEW = 400
"""Images up to which squares are large enough for a finger."""


def image_chart(run: Mapping[str, Any]) -> str | None:
    """Draw one square for each image, in the order of the submission; a mouse over it shows id and reason.

    Args:
        run: content of report.json.

    Returns:
        An SVG element with a legend; None if the report lists no image.
    """
    images = run.get("images", [])
    if not images:
        return None
    rows = Counter(str(item["row"]) for item in images)
    named = sorted((name for name in rows if name != "fallback"), key=_number)
    colour_of = {**dict(zip(named, colours(len(named)), strict=True)), "fallback": ALARM}
    fill_of = {name: on_page(colour) for name, colour in colour_of.items()}
    most, side = (20, 18) if len(images) <= _FEW else (100, 10)
    columns = min(most, len(images))
    squares = []
    for number, item in enumerate(images):
        x, y = number % columns * side, number // columns * side
        told = f"{item['id']}: {item['row']}" + (f", {item['reason']}" if item.get("reason") else "")
        told += ", stopped early" if item.get("stopped") else ""
        squares.append(
            f'<rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" '
            f'fill="{fill_of[str(item["row"])]}"><title>{escape(told)}</title></rect>'
        )
    width, height = columns * side, -(-len(images) // columns) * side
    counted = sorted(rows.items(), key=lambda item: _number(item[0]))
    legend = ", ".join(
        f'<span class="key square" style="background: {fill_of[name]}"></span>{escape(name)}: {count}'
        for name, count in counted
    )
    label = "rows of the images: " + ", ".join(f"{name} {count}" for name, count in counted)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" class="chart" role="img" aria-label="{escape(label)}">{"".join(squares)}</svg>'
    )
    return f"<p>{legend}</p>{svg}"


def _number(name: str) -> tuple[int, str]:
    """Order "rung 2" before "rung 10", and the fallback before both."""
    last = name.rpartition(" ")[2]
    return (int(last) if last.isdigit() else 0, name)
