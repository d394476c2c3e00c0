"""Find truth that is drawn: a COCO file, or JSON lines with polygons."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.artefacts import open_to_read
from kit.local.new_competition.guesses import Draft, Guess, Question
from kit.local.new_competition.survey import Survey

_LARGEST = 1 << 29
"""Bytes of a JSON file that is looked into."""
_LINES = 200


@dataclass(frozen=True)
class Drawn:
    """Where drawn truth is.

    Attributes:
        form: of the truth.
        file: below the folder.
        types: of the annotations, in their order.
    """

    form: Literal["coco", "polygons"]
    file: str
    types: tuple[str, ...]


def find(seen: Survey) -> Drawn | None:
    """Return the drawn truth of the training images, None if there is none."""
    for path in sorted(seen.others, key=lambda path: ("train" not in path.lower(), path)):
        if any(word in path.lower() for word in ("test", "solution", "valid")):
            continue
        place = seen.folder / path
        if path.lower().endswith(".json") and place.stat().st_size <= _LARGEST:
            if found := _coco(path, _parsed(place, whole=True)):
                return found
        elif path.lower().endswith(".jsonl") and (found := _polygons(path, _parsed(place, whole=False))):
            return found
    return None


def fill(draft: Draft, drawn: Drawn) -> None:
    """Fill in `[truth]`, and which types count."""
    draft.put("truth.form", drawn.form, f"{drawn.file} holds annotations of this form")
    draft.put("truth.file", drawn.file, "its annotations are those of images")
    if len(drawn.types) > 1:
        text = f"Which of these types count: {', '.join(drawn.types[:20])}? Others are left out"
        why = "all of them; the competition's page says which are scored"
        draft.question(Question("truth.scored", text, Guess(list(drawn.types), why, sure=False)))


def _coco(path: str, values: Iterable[Any]) -> Drawn | None:
    for value in values:
        if isinstance(value, dict) and all(
            isinstance(value.get(key), list) for key in ("images", "annotations", "categories")
        ):
            names = (item.get("name") for item in value["categories"] if isinstance(item, dict))
            return Drawn("coco", path, tuple(str(name) for name in names))
    return None


def _polygons(path: str, values: Iterable[Any]) -> Drawn | None:
    types: dict[str, None] = {}
    lines = 0
    for value in values:
        if not isinstance(value, dict) or "id" not in value or not isinstance(value.get("annotations"), list):
            return None
        lines += 1
        types |= dict.fromkeys(
            str(item["type"]) for item in value["annotations"] if isinstance(item, dict) and "type" in item
        )
    return Drawn("polygons", path, tuple(types)) if lines else None


def _parsed(path: Path, *, whole: bool) -> list[Any]:
    """Return what a JSON file holds, or the first lines of a file of JSON lines; nothing if it is neither."""
    try:
        with open_to_read(path) as stream:
            if whole:
                return [json.load(stream)]
            return [json.loads(line) for _, line in zip(range(_LINES), stream, strict=False)]
    except (OSError, ValueError, RecursionError):
        return []
