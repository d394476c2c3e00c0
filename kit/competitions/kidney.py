"""HuBMAP - Hacking the Kidney: glomeruli in slides of gigapixels, scored by mean Dice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kit.competitions import submissions
from kit.competitions.base import Prediction, Score, SemanticMask
from kit.competitions.tables import Row, read_table
from kit.competitions.tiffs import TiffCompetition, TruthEntry
from kit.errors import KitError
from kit.masks import rle


class Kidney(TiffCompetition):
    """`train/<id>.tiff`, `test/<id>.tiff`, `train.csv` (id, encoding); a row is (id, predicted)."""

    name = "kidney"
    slug = "hubmap-kidney-segmentation"
    kind = "semantic"
    columns = ("id", "predicted")
    metric = "mean Dice"
    suffix = ".tiff"
    truth_files = ("train.csv", "solution.csv")

    def group_of(self, data: Path, image_id: str) -> str:
        """The slide itself."""
        del data
        return image_id

    def truth_entries(self, path: Path) -> Iterator[TruthEntry]:
        """Rows of id, encoding."""
        for row in read_table(path, ("id", "encoding")):
            yield TruthEntry(row.id, row.where, row.cells["encoding"])

    def decode_truth(self, entry: TruthEntry, height: int, width: int) -> SemanticMask:
        """The mask of a row."""
        return SemanticMask(height, width, rle.from_kaggle(entry.value, height, width, where=entry.where))

    def empty(self, height: int, width: int) -> SemanticMask:
        """No foreground."""
        return SemanticMask(height, width, rle.empty())

    def row(self, image_id: str, prediction: Prediction) -> dict[str, str]:
        """Id and run lengths, an empty text for an empty mask."""
        if not isinstance(prediction, SemanticMask):
            raise TypeError(f"{self.name} rows hold one mask, not {type(prediction).__name__}")
        return {"id": image_id, "predicted": rle.to_kaggle(prediction.runs)}

    def decode_row(self, row: Row, size: tuple[int, int] | None) -> SemanticMask:
        """The mask of a row; an empty one needs no size."""
        text = row.cells["predicted"]
        if size is None:
            if not text.strip():
                return self.empty(0, 0)
            raise KitError(
                "the size of this image is not known, so its mask cannot be checked",
                where=row.where,
                fix="is the id right, and can the image's header be read?",
            )
        return SemanticMask(*size, rle.from_kaggle(text, *size, where=row.where))

    def score(self, truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]) -> Score:
        """Mean over images of Dice."""
        from kit.metrics import dice

        submissions.check_sizes(truth, predictions)
        masks = {key: _runs(mask) for key, mask in truth.items()}
        found = {key: _runs(mask) for key, mask in predictions.items()}
        return Score(self.metric, dice.mean_dice(masks, found), dice.dice_per_image(masks, found))


def _runs(mask: Prediction) -> rle.Runs:
    if not isinstance(mask, SemanticMask):
        raise TypeError(f"Dice compares masks, not {type(mask).__name__}")
    return mask.runs
