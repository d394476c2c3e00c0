"""The images of a competition on a page: browsed by error, zoomed, with outlines that can be switched.

Every image is listed with its score and its errors. The worst ones, and some of the best, have a picture.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.competitions.scores import Score, score
from kit.local.pages.confusion import Confusion, confusion
from kit.local.pages.held_out import caption, confident, count_caption
from kit.local.pages.judged import ERRORS, Judged, judge, wrong_pixels
from kit.local.pages.pyramid import TILE, Pyramid, jpeg, pyramid
from kit.local.pages.shapes import Shapes, shapes
from kit.predictions import Prediction

OBJECTS = {"instance": "instances", "semantic": "regions", "values": ""}
PICTURES = 24
"""Images of a gallery that have a picture, if nobody says how many."""
BUDGET = 16_000_000
"""Characters that the tiles of all pictures of a gallery may have together."""
_SMALLEST = 300_000
"""Characters that the tiles of one picture may have, however many pictures there are."""
_THUMBNAIL = 72
"""Longer side in pixels of the small picture in the list."""


@dataclass(frozen=True)
class Layer:
    """A switch of the page.

    Attributes:
        name: of the layer.
        label: beside the switch.
        key: digit that switches it.
        parts: paths of `Shapes.layers` that it draws.
        on: whether it is on when the page opens.
    """

    name: str
    label: str
    key: int
    parts: tuple[str, ...]
    on: bool


LAYERS = (
    Layer("true", "true", 1, ("true",), on=True),
    Layer("predicted", "predicted", 2, ("predicted",), on=True),
    Layer("missed", "missed", 3, ("missed",), on=True),
    Layer("false", "false", 4, ("false",), on=True),
    Layer("split", "split", 5, ("split",), on=False),
    Layer("merged", "merged", 6, ("merged",), on=False),
    Layer("pixels", "pixels that differ", 7, ("lacking", "surplus"), on=False),
)


@dataclass(frozen=True)
class Entry:
    """One image of the list.

    Attributes:
        image_id: of the image.
        score: of this image alone; None if nobody knows its truth, or the metric needs several images.
        gain: the score, with the sign changed where a lower one is better.
        text: what stands below its picture.
        counts: error -> number of objects that have it, of those that have any.
        predicted: number of predicted objects (of instances: of those that are drawn).
        picture: number of its picture in `Gallery.pictures`; None without one.
        thumbnail: JPEG as a data URI; "" without a picture.
    """

    image_id: str
    score: float | None
    gain: float | None
    text: str
    counts: dict[str, int]
    predicted: int
    picture: int | None = None
    thumbnail: str = ""


@dataclass(frozen=True)
class Gallery:
    """What the page of a competition shows of its images.

    Attributes:
        name: of the gallery; part of links to its images.
        metric: of the scores.
        objects: what is counted: "instances" or "regions"; "" for values.
        with_truth: whether the truth of the images is known.
        entries: worst first; without truth in the order of the submission.
        pictures: of some of them, as the page's script reads them.
        confusion: of words: how often which was predicted in the place of which.
    """

    name: str
    metric: str
    objects: str
    with_truth: bool
    entries: list[Entry]
    pictures: list[dict[str, Any]]
    confusion: Confusion | None = None

    @property
    def data(self) -> str:
        """The content for the page's script, as JSON that can stand inside of a script element."""
        listed = [
            {
                "id": entry.image_id,
                "score": None if entry.score is None else round(entry.score, 9),
                "better": 0.0 if entry.gain is None or entry.gain < 0 else min(entry.gain, 1.0),
                "text": entry.text,
                "counts": entry.counts,
                "predicted": entry.predicted,
                "picture": entry.picture,
                "thumbnail": entry.thumbnail,
            }
            for entry in self.entries
        ]
        content = {"name": self.name, "images": listed, "pictures": self.pictures}
        # "</script>" inside of an id would end the element; "<" as \u003c is the same text to JSON.
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")

    @property
    def layers(self) -> list[Layer]:
        """The switches of the outlines: those that a picture has, with the digit that is their key."""
        drawn = {name for picture in self.pictures for name in picture["layers"]}
        shown = [layer for layer in LAYERS if drawn & set(layer.parts)]
        if not drawn & {"lacking", "surplus"}:
            return shown
        # Regions of a semantic mask that overlap too little count as missed and false: a hatch over nearly
        # all of a slide. The pixels that differ are what a Dice score counts.
        return [replace(layer, on=layer.name in {"true", "predicted", "pixels"}) for layer in shown]

    @property
    def counted(self) -> str:
        """How many images there are, and how many have a picture."""
        count = len(self.entries)
        told = f"{count} image{'' if count == 1 else 's'}"
        return told if len(self.pictures) == count else f"{told}, {len(self.pictures)} with a picture"

    @property
    def has_meter(self) -> bool:
        """Whether all scores lie in [0, 1] and higher is better, so that a bar can show them."""
        known = [entry for entry in self.entries if entry.gain is not None]
        return all(entry.gain == entry.score and 0 <= (entry.gain or 0) <= 1 for entry in known)

    def having(self, error: str) -> int:
        """Return the number of images with an object that has an error."""
        return sum(error in entry.counts for entry in self.entries)


def make_gallery(
    name: str,
    competition: Competition,
    images: Mapping[str, tuple[Prediction | None, Prediction]],
    path_of: Callable[[str], Path],
    *,
    pictures: int,
    budget: int = BUDGET,
) -> Gallery:
    """Judge all images, and make pictures of the worst and of some of the best.

    Args:
        name: of the gallery, unique on its page.
        competition: knows the metric.
        images: id -> truth (None if nobody knows it) and prediction.
        path_of: gives the file of an image.
        pictures: images with a picture, at most. Two of three are the worst, the others the best; without
            truth they are spread evenly over the list.
        budget: characters that the tiles of all pictures may have together.

    Raises:
        KitError: an image cannot be read, or a mask is damaged.
    """
    entries = [_entry(competition, image_id, *pair) for image_id, pair in images.items()]
    with_truth = any(truth is not None for truth, _ in images.values())
    if with_truth:
        # Equal scores stand in the order of their ids, so that the page does not change from call to call.
        entries.sort(key=lambda entry: (_rank(entry.gain), entry.image_id))
    chosen = _worst_and_best(len(entries), pictures) if with_truth else _spread(len(entries), pictures)
    weights = shares(len(chosen), equal=not with_truth)
    made: list[dict[str, Any]] = []
    left = budget
    for number, index in enumerate(chosen):
        image_id = entries[index].image_id
        # Judged again: to keep the objects of all images in memory would take too much of it.
        judged = _judged(competition, *images[image_id])
        interest_YX = np.zeros((1, 1)) if judged is None else wrong_pixels(judged, TILE)
        # What a picture does not need is left for those behind it.
        own = max(_SMALLEST, int(left * weights[number] / sum(weights[number:])))
        tiles = pyramid(path_of(image_id), competition.reading, interest_YX, own)
        left = max(0, left - tiles.characters)
        made.append(_as_json(tiles, Shapes({}, [], 0.0) if judged is None else shapes(judged)))
        entries[index] = replace(entries[index], picture=number, thumbnail=_thumbnail(tiles))
    return Gallery(
        name, competition.metric, OBJECTS[competition.kind], with_truth, entries, made, confusion(images)
    )


def _entry(
    competition: Competition, image_id: str, truth: Prediction | None, prediction: Prediction
) -> Entry:
    judged = _judged(competition, truth, prediction)
    counts = {} if judged is None else {error: n for error in ERRORS if (n := judged.count(error))}
    predicted = 0 if judged is None else len(judged.found.masks)
    if truth is None:
        return Entry(image_id, None, None, count_caption(prediction), counts, predicted)
    try:
        alone = score(competition, {image_id: truth}, {image_id: prediction})
    except KitError:
        # Some metrics are not defined for one image: AUC needs images of both classes.
        alone = Score(competition.metric, math.nan, {}, higher_is_better=True)
    known = math.isfinite(alone.value)
    text = caption(competition, truth, prediction, alone.value)
    return Entry(
        image_id, alone.value if known else None, alone.gain if known else None, text, counts, predicted
    )


def _judged(competition: Competition, truth: Prediction | None, prediction: Prediction) -> Judged | None:
    return judge(competition, truth, prediction if truth is None else confident(prediction, truth))


def shares(count: int, *, equal: bool) -> list[float]:
    """Return the weight of each picture in the budget: the worst image gets most, the second half of that.

    >>> shares(3, equal=False), shares(2, equal=True)
    ([1.0, 0.5, 0.3333333333333333], [1.0, 1.0])

    Args:
        count: number of pictures, worst first.
        equal: nobody knows which is the worst.
    """
    return [1.0 if equal else 1 / (number + 1) for number in range(count)]


def _rank(value: float | None) -> float:
    return math.inf if value is None or not math.isfinite(value) else value


def _worst_and_best(count: int, pictures: int) -> list[int]:
    """Return which of `count` images, worst first, have a picture: 2 of 3 are the worst, 1 the best.

    >>> _worst_and_best(10, 6), _worst_and_best(4, 6)
    ([0, 1, 2, 3, 8, 9], [0, 1, 2, 3])
    """
    pictures = min(count, pictures)
    worst = -(-2 * pictures // 3)
    return [*range(worst), *range(count - (pictures - worst), count)]


def _spread(count: int, pictures: int) -> list[int]:
    """Return `pictures` numbers evenly spread over `count`: 3 of 5 are 0, 2, 4."""
    pictures = min(count, pictures)
    return [round(index * (count - 1) / max(1, pictures - 1)) for index in range(pictures)]


def _as_json(tiles: Pyramid, drawn: Shapes) -> dict[str, Any]:
    return {
        "width": tiles.width,
        "height": tiles.height,
        "tile": TILE,
        "coarsest": tiles.coarsest,
        "finest": tiles.finest,
        "kept": tiles.kept,
        "tiles": {"/".join(map(str, place)): data for place, data in sorted(tiles.tiles.items())},
        "layers": drawn.layers,
        "errors": drawn.boxes,
        "tolerance": drawn.tolerance,
    }


def _thumbnail(tiles: Pyramid) -> str:
    """Return the small picture of the list as a data URI, made of the coarsest tile."""
    data = np.frombuffer(base64.b64decode(tiles.tiles[tiles.coarsest, 0, 0]), np.uint8)
    tile_HWC = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    height, width = tile_HWC.shape[:2]
    factor = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return "data:image/jpeg;base64," + jpeg(
        cv2.resize(np.ascontiguousarray(tile_HWC), size, interpolation=cv2.INTER_AREA)
    )
