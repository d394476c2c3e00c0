"""Pictures of the images that a run predicted, with outlines of what it found."""

from __future__ import annotations

from pathlib import Path

from kit.competitions.competition import Competition
from kit.local.competitions.labelled import LabelledData
from kit.local.pages.held_out import caption, confident, count_caption
from kit.local.pages.overlays import Overlay, make_overlay
from kit.predictions import Prediction
from submission.runtime.result.submission_file import guess_sizes, image_sizes

_ONE, _SEVERAL = 1100, 520
"""Pixels of the longer side of the only picture, and of one of several."""


def overlays(competition: Competition, data: Path, submission: Path, count: int) -> list[Overlay]:
    """Draw the outlines of a submission, and of the truth where the data folder has it.

    Args:
        competition: of the submission.
        data: the competition's folder.
        submission: the file.
        count: number of pictures, at most. The images are spread evenly over the list, not picked by score.

    Raises:
        KitError: an image, a table or the submission cannot be read.
    """
    ids = competition.test_ids(data)
    chosen = _spread(ids, count)
    truth = LabelledData(competition, data).truth(chosen) if has_truth(competition, data) else {}
    sizes, unreadable = image_sizes(competition, data, ids)
    predictions = competition.parse(submission, guess_sizes(ids, sizes))
    longest = _ONE if len(chosen) == 1 else _SEVERAL
    return [
        make_overlay(
            image,
            competition.image_path(data, image, "test"),
            competition.reading,
            truth.get(image),
            _shown(truth.get(image), predictions[image]),
            longest=longest,
            caption=_caption(competition, truth.get(image), predictions[image]),
        )
        for image in chosen
        if image not in unreadable
    ]


def has_truth(competition: Competition, data: Path) -> bool:
    """Return whether a data folder has the truth of the test images, which Kaggle keeps to itself."""
    file = competition.format.truth.solution
    return bool(file) and LabelledData(competition, data).reader.exists(data, file)


def _shown(truth: Prediction | None, prediction: Prediction) -> Prediction:
    return prediction if truth is None else confident(prediction, truth)


def _caption(competition: Competition, truth: Prediction | None, prediction: Prediction) -> str:
    return count_caption(prediction) if truth is None else caption(competition, truth, prediction)


def _spread(ids: list[str], count: int) -> list[str]:
    """Return `count` ids evenly spread over the list: 3 of a, b, c, d, e are a, c, e.

    So the choice does not depend on the scores.
    """
    count = min(count, len(ids))
    return [ids[round(index * (len(ids) - 1) / max(1, count - 1))] for index in range(count)]
