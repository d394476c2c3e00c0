"""Pictures of the images that a run predicted, with outlines of what it found."""

from __future__ import annotations

from pathlib import Path

from kit.competitions.competition import Competition
from kit.local.competitions import submission_files
from kit.local.competitions.labelled import LabelledData
from kit.local.pages.gallery import BUDGET, Gallery, make_gallery
from submission.runtime.result.submission_file import guess_sizes, image_sizes


def gallery_of(
    name: str, competition: Competition, data: Path, submission: Path, count: int, *, budget: int = BUDGET
) -> Gallery:
    """Judge the images of a submission where the data folder has their truth, and make pictures of some.

    Args:
        name: of the gallery.
        competition: of the submission.
        data: the competition's folder.
        submission: the file.
        count: images with a picture, at most.
        budget: characters that the tiles of all pictures may have together.

    Raises:
        KitError: an image, a table or the submission cannot be read.
    """
    ids = competition.test_ids(data)
    truth = LabelledData(competition, data).truth(ids) if has_truth(competition, data) else {}
    sizes, unreadable = image_sizes(competition, data, ids)
    predictions = submission_files.read(competition, submission, guess_sizes(ids, sizes))
    shown = {image: (truth.get(image), predictions[image]) for image in ids if image not in unreadable}
    return make_gallery(
        name,
        competition,
        shown,
        lambda image: competition.image_path(data, image, "test"),
        pictures=count,
        budget=budget,
    )


def has_truth(competition: Competition, data: Path) -> bool:
    """Return whether a data folder has the truth of the test images, which Kaggle keeps to itself."""
    file = competition.format.truth.solution
    return bool(file) and LabelledData(competition, data).reader.exists(data, file)
