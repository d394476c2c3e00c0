"""HuBMAP - Hacking the Human Vasculature: blood vessels in tiles, scored by AP at IoU 0.6."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kit.competitions import submissions
from kit.competitions.base import Instances, Prediction, Report, Score
from kit.competitions.tables import Row, read_table
from kit.competitions.tiffs import TiffCompetition, TruthEntry
from kit.errors import KitError
from kit.masks import coco

KIND = "blood_vessel"
"""The scored type; glomeruli and unsure regions are left out of the truth."""
_LABEL = "0"
_FORM = "a prediction is '0 score mask', repeated with blanks between"
_JSONL = 'a line is {"id": ..., "annotations": [{"type": ..., "coordinates": [[[x, y], ...]]}, ...]}'


class Vasculature(TiffCompetition):
    """`train/<id>.tif`, `test/<id>.tif`, `polygons.jsonl`; a row is a tile with all its vessels."""

    name = "vasculature"
    slug = "hubmap-hacking-the-human-vasculature"
    kind = "instance"
    columns = ("id", "height", "width", "prediction_string")
    metric = "AP@0.6"
    suffix = ".tif"
    truth_files = ("polygons.jsonl", "solution.jsonl")

    def group_of(self, data: Path, image_id: str) -> str:
        """The whole-slide image a tile was cut from, `source_wsi` in tile_meta.csv."""
        path = data / "tile_meta.csv"
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        slides = _source_wsi(path, stamp)
        if image_id not in slides:
            raise KitError(f"tile {image_id} has no row", where=path, fix="download the table again")
        return slides[image_id]

    def truth_entries(self, path: Path) -> Iterator[TruthEntry]:
        """Lines of id and annotations."""
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError as error:
            raise KitError("file is missing", where=path, fix="check the data folder") from error
        except (OSError, UnicodeDecodeError) as error:
            raise KitError(f"not a readable JSON lines file: {error}", where=path, fix=_JSONL) from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _entry(line, f"{path}:{number}")

    def decode_truth(self, entry: TruthEntry, height: int, width: int) -> Instances:
        """The vessels of a tile; repeated polygons are taken once."""
        from kit.masks import polygons

        masks = []
        for number, rings in vessels(entry.value):
            where = f"{entry.where}, annotation {number}"
            masks.append(coco.encode(polygons.fill(rings, height, width, where=where)))
        return Instances(height, width, np.ones(len(masks)), masks)

    def note_truth(self, report: Report, entries: Sequence[TruthEntry]) -> None:
        """Vessels, dropped types, repeated polygons."""
        kinds = [annotation["type"] for entry in entries for annotation in entry.value]
        kept = sum(len(vessels(entry.value)) for entry in entries)
        report.facts["training vessels"] = float(kept)
        if repeated := kinds.count(KIND) - kept:
            report.note(f"{repeated} repeated polygons are taken once", report.subject)
        for kind in sorted(set(kinds) - {KIND}):
            report.note(f"{kinds.count(kind)} annotations of type {kind} are left out", report.subject)

    def empty(self, height: int, width: int) -> Instances:
        """No vessels."""
        return Instances(height, width, np.zeros(0), [])

    def row(self, image_id: str, prediction: Prediction) -> dict[str, str]:
        """Id, size and "0 score mask" of every instance; scores with six decimals."""
        if not isinstance(prediction, Instances):
            raise TypeError(f"{self.name} rows hold instances, not {type(prediction).__name__}")
        found = zip(prediction.scores.tolist(), prediction.masks, strict=True)
        return {
            "id": image_id,
            "height": str(prediction.height),
            "width": str(prediction.width),
            "prediction_string": " ".join(f"{_LABEL} {score:.6f} {coco.pack(mask)}" for score, mask in found),
        }

    def decode_row(self, row: Row, size: tuple[int, int] | None) -> Instances:
        """The instances of a row, best score first."""
        height, width = (_pixels(row, column) for column in ("height", "width"))
        if size is not None and size != (height, width):
            raise KitError(
                f"height and width are {height} and {width}, those of the image {size[0]} and {size[1]}",
                where=row.where,
                fix="write the size of the original image; masks have to be of that size too",
            )
        tokens = row.cells["prediction_string"].split()
        if len(tokens) % 3:
            raise KitError(
                f"prediction string has {len(tokens)} parts, no multiple of 3", where=row.where, fix=_FORM
            )
        scores, masks = [], []
        for number in range(len(tokens) // 3):
            label, score, text = tokens[3 * number : 3 * number + 3]
            where = f"{row.where}, prediction {number + 1}"
            if label != _LABEL:
                raise KitError(f"label is {label[:20]!r}, the only one is {_LABEL}", where=where, fix=_FORM)
            scores.append(_score(score, where))
            masks.append(coco.unpack(text, where=where))
            coco.runs_of(masks[-1], height, width, where=where)
        order = np.argsort(-np.array(scores, np.float64), kind="stable")
        ranked = np.array(scores, np.float64)[order]
        return Instances(height, width, ranked, [masks[index] for index in order])

    def score(self, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]) -> Score:
        """Average precision at IoU 0.6 of all tiles together."""
        from kit.metrics.average_precision import average_precision

        submissions.check_sizes(truth, predictions)
        value = average_precision(_instances(truth), _instances(predictions), iou=0.6)
        return Score(self.metric, value, {})


def vessels(annotations: Sequence[Mapping[str, Any]]) -> list[tuple[int, list[Any]]]:
    """Number (from 1) and rings of the annotations that count, each polygon once."""
    seen: set[str] = set()
    kept = []
    for number, annotation in enumerate(annotations, start=1):
        if annotation["type"] == KIND:
            key = json.dumps(annotation["coordinates"])
            if key not in seen:
                seen.add(key)
                kept.append((number, annotation["coordinates"]))
    return kept


def _entry(line: str, where: str) -> TruthEntry:
    try:
        value = json.loads(line)
        image_id, annotations = str(value["id"]), list(value["annotations"])
        sound = all(isinstance(a["type"], str) and isinstance(a["coordinates"], list) for a in annotations)
    except (ValueError, KeyError, TypeError) as error:
        raise KitError(
            f"no line of polygons ({type(error).__name__}: {error})", where=where, fix=_JSONL
        ) from error
    if not sound:
        raise KitError(
            "an annotation's type is no text or its coordinates are no list", where=where, fix=_JSONL
        )
    return TruthEntry(image_id, f"{where} (id {image_id})", annotations)


@lru_cache(maxsize=4)
def _source_wsi(path: Path, stamp: int) -> dict[str, str]:
    """Tile id -> source_wsi; `stamp` is the table's time of change, so that a new one is read anew."""
    del stamp
    rows = read_table(path, ("id", "source_wsi"), more=True)
    return {row.id: row.cells["source_wsi"].strip() for row in rows}


def _pixels(row: Row, column: str) -> int:
    text = row.cells[column].strip()
    if not text.isdecimal() or int(text) == 0:
        raise KitError(
            f"{column} is {text[:20]!r}, no count of pixels", where=row.where, fix="write it in pixels"
        )
    return int(text)


def _score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= 1.0:  # False for NaN, too
        raise KitError(f"score is {text[:20]!r}, no number in [0, 1]", where=where, fix=_FORM)
    return score


def _instances(predictions: Mapping[str, Prediction]) -> dict[str, Instances]:
    kept = {key: found for key, found in predictions.items() if isinstance(found, Instances)}
    if len(kept) != len(predictions):
        raise TypeError("average precision compares instances, not masks of whole images")
    return kept
