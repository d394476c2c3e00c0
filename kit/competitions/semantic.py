"""Competitions with one foreground mask an image, scored by mean Dice."""

from __future__ import annotations

from collections.abc import Mapping

from kit.competitions import mask_text, submissions
from kit.competitions.base import Score
from kit.competitions.tables import Row
from kit.competitions.tiffs import TiffCompetition
from kit.errors import KitError
from kit.local.competitions.truth_readers import TruthEntry
from kit.masks import rle
from kit.predictions import Prediction, SemanticMask


class SemanticCompetition(TiffCompetition):
    """Kidney, body, and what a TOML file of the kind "semantic" describes; a row is an image's mask."""

    def decode_truth(self, entry: TruthEntry, height: int, width: int) -> SemanticMask:
        """All regions of an image together."""
        regions = self._truth.regions(entry, height, width)
        return SemanticMask(height, width, rle.union(region.runs for region in regions))

    def empty(self, height: int, width: int) -> SemanticMask:
        """No foreground."""
        return SemanticMask(height, width, rle.empty())

    def row(self, image_id: str, prediction: Prediction) -> dict[str, str]:
        """Id and mask, with the size where the competition asks for it."""
        if not isinstance(prediction, SemanticMask):
            raise TypeError(f"{self.name} rows hold one mask, not {type(prediction).__name__}")
        form, size = self.format.submission, (prediction.height, prediction.width)
        text = mask_text.write(prediction.runs, form, *size)
        return submissions.row(form, image_id, size, text)

    def decode_row(self, row: Row, size: tuple[int, int] | None) -> SemanticMask:
        """The mask of a row; an empty one needs no size."""
        form = self.format.submission
        size = submissions.size_of(row, form, size)
        text = row.cells[form.mask]
        if size is None:
            if mask_text.is_empty(text, form):
                return self.empty(0, 0)
            raise KitError(
                "the size of this image is not known, so its mask cannot be checked",
                where=row.where,
                fix="is the id right, and can the image's header be read?",
            )
        return SemanticMask(*size, mask_text.read(text, form, *size, where=row.where))

    def score(self, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]) -> Score:
        """Mean over images of Dice."""
        from kit.local.metrics import dice

        submissions.check_sizes(truth, predictions)
        masks = {key: _runs(mask) for key, mask in truth.items()}
        found = {key: _runs(mask) for key, mask in predictions.items()}
        return Score(self.metric, dice.mean_dice(masks, found), dice.dice_per_image(masks, found))


def _runs(mask: Prediction) -> rle.Runs:
    if not isinstance(mask, SemanticMask):
        raise TypeError(f"Dice compares masks, not {type(mask).__name__}")
    return mask.runs
