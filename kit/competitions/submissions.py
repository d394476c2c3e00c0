"""Check submission files: errors for what Kaggle refuses, alarms for what it accepts but nobody wants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kit.competitions.report import Report
from kit.competitions.submission_format import Submission
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.masks import mask_set, rle
from kit.predictions import Instances, SemanticMask

_LISTED = 5
"""Ids named in one message."""


def size_of(row: Row, form: Submission, size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return height and width of a row's image: from the row if it has such columns, else `size`.

    Args:
        row: of the submission.
        form: its columns.
        size: height and width of the image, None if not known.

    Raises:
        KitError: the row's size is no size, or not that of the image.
    """
    if not form.height:  # the file tells no sizes, as in kidney
        return size
    height, width = (_pixels(row, column) for column in (form.height, form.width))
    if size is not None and size != (height, width):
        raise KitError(
            f"height and width are {height} and {width}, but the image has {size[0]} and {size[1]}",
            where=row.where,
            fix="write the size of the original image, and masks of that size",
        )
    return height, width


def repeated(ids: Iterable[str]) -> list[str]:
    """Return the ids that occur more than once, in order of first occurrence."""
    return [key for key, count in Counter(ids).items() if count > 1]


def check_ids(report: Report, rows: Sequence[Row], ids: Sequence[str]) -> None:
    """Report missing ids, unknown ids and ids with blanks around them.

    Args:
        report: gets the errors.
        rows: of the submission.
        ids: the ids to predict.
    """
    raw = [row.cells[row.key] for row in rows if row.cells[row.key] != row.id]
    check_names(report, [row.id for row in rows], ids, raw)


def check_names(report: Report, names: Iterable[str], all_names: Iterable[str], raw: Iterable[str]) -> None:
    """Report what `check_ids` does.

    Args:
        report: gets the errors.
        names: what the rows of the submission are of.
        all_names: what they have to be of.
        raw: cells with blanks around an id.
    """
    # dict.fromkeys is a set that keeps the order: messages name the first ids of the file.
    given, wanted = dict.fromkeys(names), dict.fromkeys(all_names)
    missing = [key for key in wanted if key not in given]
    unknown = [key for key in given if key not in wanted]
    spaced = [repr(cell) for cell in raw]
    for faults, one, several, fix in (
        (
            missing,
            "id is missing",
            "ids are missing",
            "write a row for every id of sample_submission.csv, with an empty mask if need be",
        ),
        (
            unknown,
            "id is not among the images to predict",
            "ids are not among the images to predict",
            "remove them; is this the file of another data set?",
        ),
        (
            spaced,
            "id has blanks around it",
            "ids have blanks around them",
            "remove the blanks; to Kaggle these are other ids",
        ),
    ):
        if faults:
            more = f" and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
            what = one if len(faults) == 1 else several
            report.error(f"{len(faults)} {what}: {', '.join(faults[:_LISTED])}{more}", report.subject, fix)


def raise_alarms(
    report: Report, predictions: Mapping[str, SemanticMask | Instances], *, scored: bool = True
) -> None:
    """Raise alarms: all masks empty, a mask that covers its image, equal rows, equal scores; add facts.

    Args:
        report: gets them.
        predictions: by id, or by row.
        scored: whether the submission tells the scores of instances.
    """
    areas = {key: areas_of(prediction) for key, prediction in predictions.items()}
    empty = [key for key, found in areas.items() if not found.any()]
    report.facts["rows"] = float(len(predictions))
    report.facts["rows without a mask"] = float(len(empty))
    report.facts["masks"] = float(sum(len(found) for found in areas.values()))
    if predictions and len(empty) == len(predictions):
        report.alarm(
            "all masks are empty", report.subject, "is this the fallback file, or is the threshold too high?"
        )
        return
    # One mask as large as its image is absurd in both kinds; height 0 is an empty mask of unknown size.
    full = [key for key, p in predictions.items() if (areas[key] == p.height * p.width).any() and p.height]
    if full:
        more = f", and so do masks in {len(full) - 1} more" if len(full) > 1 else ""
        text = f"a mask of image {full[0]} covers the whole image{more}"
        report.alarm(text, report.subject, "check the threshold, and whether mask and background are swapped")
    _alarm_if_alike(report, predictions)
    scores = [p.scores for p in predictions.values() if isinstance(p, Instances)]
    ranked = np.concatenate(scores) if scores else np.zeros(0)
    if scored and len(ranked) > 1 and np.all(ranked == ranked[0]):
        text = f"all {len(ranked)} detections have the score {ranked[0]:g}"
        report.alarm(text, report.subject, "the metric sorts detections by score; were the scores lost?")


def _pixels(row: Row, column: str) -> int:
    text = row.cells[column].strip()
    # Not str.isdigit: it accepts digits of other scripts; and int() raises for 5000 digits.
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) == 0:
        raise KitError(
            f"{column} is {text[:20]!r}, no number of pixels", where=row.where, fix="write a number of pixels"
        )
    return int(text)


def areas_of(prediction: SemanticMask | Instances) -> NDArray[np.int64]:
    """Return the pixels of every mask of an image, (n,); an empty array if there is no mask."""
    if isinstance(prediction, SemanticMask):
        return np.array([rle.area(prediction.runs)] if len(prediction.runs) else [], np.int64)
    return mask_set.decode(prediction.masks, prediction.height, prediction.width).areas()


def _alarm_if_alike(report: Report, predictions: Mapping[str, SemanticMask | Instances]) -> None:
    # Compare masks as bytes: equal runs, or equal COCO counts in the same order. Empty rows do not count.
    alike: dict[bytes, list[str]] = {}
    for key, found in predictions.items():
        content = found.runs.tobytes() if isinstance(found, SemanticMask) else b"\n".join(found.masks)
        if content:
            alike.setdefault(content, []).append(key)
    most = max(alike.values(), key=len, default=[])
    if len(most) > 1:
        count = f"all {len(most)} rows" if len(most) == len(predictions) else f"{len(most)} rows"
        more = f" and {len(most) - _LISTED} more" if len(most) > _LISTED else ""
        text = f"{count} hold the same masks ({', '.join(most[:_LISTED])}{more})"
        report.alarm(text, report.subject, "was one image's prediction written for others too?")
