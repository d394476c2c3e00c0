"""docs/chain.svg: the way from competition data to a score, in one picture.

Boxes are light with dark words, lines and loose words are of a grey that shows on white and on black: the
same file is readable in the dark and the light look of a page.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

_WIDTH, _HEIGHT = 968, 640
_LINE = "#7d8590"
_COLOURS = {"step": "#dbeafe", "file": "#fef3c7", "kaggle": "#dcfce7"}
_BORDERS = {"step": "#3b82f6", "file": "#d97706", "kaggle": "#16a34a"}


@dataclass(frozen=True)
class _Box:
    """A box: the left upper corner in pixels, a title, and lines below it."""

    x: int
    y: int
    kind: str
    title: str
    lines: tuple[str, ...] = ()
    width: int = 160
    height: int = 84

    @property
    def right(self) -> tuple[int, int]:
        return self.x + self.width, self.y + self.height // 2

    @property
    def left(self) -> tuple[int, int]:
        return self.x, self.y + self.height // 2

    @property
    def bottom(self) -> tuple[int, int]:
        return self.x + self.width // 2, self.y + self.height

    @property
    def top(self) -> tuple[int, int]:
        return self.x + self.width // 2, self.y


def picture(root: Path) -> str:
    """Return the text of docs/chain.svg.

    Args:
        root: the repository; nothing of it is read.
    """
    del root
    data = _Box(24, 60, "file", "your data", ("images, tables, truth", "+ a small TOML"))
    prepare = _Box(214, 60, "step", "prepare", ("checks every file;", "folds, training images"))
    train = _Box(404, 60, "step", "train-all", ("weights, predictions", "of held-out images"))
    ensemble = _Box(594, 60, "step", "ensemble", ("members, thresholds,", "rungs: cheap to best"))
    plan = _Box(784, 60, "file", "ensemble.json", ("one plan, scored on", "images it did not see"))
    bundle = _Box(404, 210, "step", "bundle", ("wheels for each Python,", "weights, sha256 of all"))
    render = _Box(784, 210, "step", "render", ("one script under 1 MB,", "code only"))
    rehearse = _Box(594, 210, "step", "rehearse", ("offline, limited, with", "faults: safe to send?"))
    upload = _Box(404, 380, "step", "upload", ("private datasets, read", "back and compared"))
    submit = _Box(784, 380, "step", "submit", ("commit run, forecast of", "the hidden run, once"))
    hidden = _Box(
        214,
        520,
        "kaggle",
        "predict.py in the hidden run",
        ("valid file at once  >  find and verify  >  install  >  rung after rung, until the time is up",),
        width=540,
    )
    score = _Box(784, 520, "file", "a score", ("submission.csv is valid", "from the first seconds"))
    boxes = (data, prepare, train, ensemble, plan, bundle, render, rehearse, upload, submit, hidden, score)
    arrows = (
        (data.right, prepare.left),
        (prepare.right, train.left),
        (train.right, ensemble.left),
        (ensemble.right, plan.left),
        (train.bottom, bundle.top),
        (plan.bottom, render.top),
        (render.left, rehearse.right),
        (bundle.right, rehearse.left),
        (bundle.bottom, upload.top),
        (render.bottom, submit.top),
        (upload.right, submit.left),
        ((submit.x + 20, submit.y + submit.height), (hidden.x + hidden.width - 60, hidden.y)),
        (hidden.right, score.left),
    )
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        "<title>From competition data to a score</title>",
        (
            "<desc>On your machine: prepare, train-all, ensemble, bundle, render, rehearse. On Kaggle: "
            "upload, submit, and predict.py in the hidden run, which ends with a score.</desc>"
        ),
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{_LINE}"/></marker></defs>'
        ),
        _lane(8, 28, 300, "your machine"),
        _lane(8, 348, 284, "Kaggle"),
        *(_arrow(start, end) for start, end in arrows),
        *(_drawn(box) for box in boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lane(x: int, y: int, height: int, name: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH - 2 * x}" height="{height}" rx="10" fill="none" '
        f'stroke="{_LINE}" stroke-dasharray="4 5"/>'
        f'<text x="{_WIDTH - 24}" y="{y + 22}" text-anchor="end" fill="{_LINE}" font-size="15">{name}</text>'
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    return (
        f'<path d="M{start[0]} {start[1]}L{end[0]} {end[1]}" stroke="{_LINE}" stroke-width="2" '
        'marker-end="url(#tip)"/>'
    )


def _drawn(box: _Box) -> str:
    middle = box.x + box.width // 2
    lines = "".join(
        f'<text x="{middle}" y="{box.y + 48 + 18 * index}" text-anchor="middle" fill="#374151" '
        f'font-size="12">{html.escape(line)}</text>'
        for index, line in enumerate(box.lines)
    )
    return (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="8" '
        f'fill="{_COLOURS[box.kind]}" stroke="{_BORDERS[box.kind]}"/>'
        f'<text x="{middle}" y="{box.y + 26}" text-anchor="middle" fill="#111827" font-weight="600" '
        f'font-size="16">{html.escape(box.title)}</text>{lines}'
    )
