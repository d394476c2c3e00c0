"""Scores of semantic selections: Dice by threshold of every held-out image, from samples of its pixels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.images.info import ImageInfo
from kit.inference.semantic_doubt import expected_loss
from kit.inference.semantic_settings import SemanticFusion
from kit.predictions import SemanticMask
from kit.typed_json import from_plain, to_plain
from train_local.ensemble.block_counts import BlockCounts, BlockRequest, count_blocks
from train_local.ensemble.pixels import CountRequest, PixelSample, ScanRequest, count_masks, sample_image
from train_local.ensemble.processes import Helpers
from train_local.ensemble.scores import Assigned, Settings
from train_local.ensemble.semantic_tuning import BINS, best_threshold, organ_thresholds, thresholds
from train_local.ensemble.trial import RecipeView, Selection

WEIGHTS = (1.0, 0.5, 2.0)
"""Weights a recipe view is tried with, relative to the mean of those before it."""
MOST_PIXELS = 1 << 16
"""Pixels that stand for an image, at most."""
ALL_PIXELS = 3 << 19
"""Pixels that stand for all images together: 1.5 million, with 16 recipe views 100 MB."""
_ALL_VALUES = 1 << 26
"""Of these pixels in all recipe views: 256 MB, from 43 recipe views on with fewer pixels."""
_SUMS = 4
"""Weighted sums that are kept; a search asks for one selection with many additions."""
_CURVE_BYTES = 100 << 20


def _nothing() -> None:
    """What is called where nobody wants to know."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out image with what was predicted for it.

    Attributes:
        truth: of the image.
        maps: recipe view -> stored map of the member that held the image out.
        info: of the image.
    """

    truth: SemanticMask
    maps: Mapping[RecipeView, Path]
    info: ImageInfo


class SemanticScores:
    """`train_local.ensemble.scores.Scores` of probability maps.

    Args:
        images: by id.
        processes: that read maps; None takes one for each CPU.
        pixels: that stand for one image, at most; None chooses by the number of images.
        on_image: called after each image whose maps were read.

    Attributes:
        held_out: the images.
        helpers: the processes.

    Raises:
        KitError: a map is missing, damaged or of another size than its image.
    """

    def __init__(
        self,
        images: Mapping[str, HeldOut],
        *,
        processes: int | None = None,
        pixels: int | None = None,
        on_image: Callable[[], None] | None = None,
    ) -> None:
        self._on_image = on_image or _nothing
        self.ids = tuple(sorted(images))
        self.searched = frozenset(self.ids)
        self.held_out, self.helpers = images, Helpers(processes)
        self._row = {image_id: row for row, image_id in enumerate(self.ids)}
        recipe_views = len({recipe_view for image in images.values() for recipe_view in image.maps})
        all_pixels = min(ALL_PIXELS, _ALL_VALUES // recipe_views)
        per_image = pixels or min(MOST_PIXELS, max(all_pixels // len(images), 1))
        requests = [
            ScanRequest(tuple(images[key].maps.values()), images[key].truth, per_image) for key in self.ids
        ]
        samples = []
        for sample in self.helpers.map(sample_image, requests):
            samples.append(sample)
            self._on_image()
        self._fill(samples)
        self._sums: OrderedDict[Selection, NDArray[np.float32]] = OrderedDict()
        self._curves: OrderedDict[Selection, NDArray[np.float32]] = OrderedDict()
        self._exact: dict[tuple[str, Selection, float], float] = {}

    def _fill(self, samples: Sequence[PixelSample]) -> None:
        """Put the pixels of all images one after another, (recipe views, pixels)."""
        # Two images of 3 and 2 pixels, recipe view b without the second one:
        #     a   .1 .9 .5   .2 .3
        #     b   .2 .8 .7    0  0        and no weight of b counts there
        every = sorted({view for image in self.held_out.values() for view in image.maps})
        self._place = {recipe_view: place for place, recipe_view in enumerate(every)}
        counts = [len(sample.truth_P) for sample in samples]
        stops = np.cumsum(counts)
        self._prob_VP = np.zeros((len(every), int(stops[-1])), np.float32)
        self._covered_VN = np.zeros((len(every), len(samples)), bool)
        for row, (image_id, sample) in enumerate(zip(self.ids, samples, strict=True)):
            for recipe_view, prob_P in zip(self.held_out[image_id].maps, sample.prob_MP, strict=True):
                place = self._place[recipe_view]
                self._prob_VP[place, stops[row] - counts[row] : stops[row]] = prob_P
                self._covered_VN[place, row] = True
        truth_P = np.concatenate([sample.truth_P for sample in samples])
        self._weight_P = np.concatenate([sample.weight_P for sample in samples])
        self._counts = np.array(counts)
        # Where the histogram of an image's background and foreground begins in one long histogram.
        self._histogram_P = (np.repeat(np.arange(len(samples)), counts) * 2 + truth_P) * (BINS + 1)
        self.complete = {key for key, sample in zip(self.ids, samples, strict=True) if sample.complete}

    def images(self, recipe_view: RecipeView) -> frozenset[str]:
        """Return the images that some fold of the recipe held out."""
        if recipe_view not in self._place:
            return frozenset()
        covered_N = self._covered_VN[self._place[recipe_view]]
        return frozenset(image_id for image_id, there in zip(self.ids, covered_N, strict=True) if there)

    def relative_weights(self, selection: Selection, added: RecipeView) -> tuple[float, ...]:
        """Return the weights to try for a recipe view that is added."""
        del added
        mean = float(np.mean(selection.weights))
        return tuple(round(mean * weight, 4) for weight in WEIGHTS)

    def prepare(self, selections: Sequence[Selection], settings: Settings) -> None:
        """Nothing: a curve takes milliseconds."""

    def curves(self, selection: Selection) -> NDArray[np.float32]:
        """Return the Dice of every image at the thresholds 1/BINS, 2/BINS, ..., (images, BINS - 1).

        Images that the selection does not cover have NaN.
        """
        if selection in self._curves:
            self._curves.move_to_end(selection)
            return self._curves[selection]
        mean_P, total_N = self._mean(selection)
        histogram = np.bincount(
            self._histogram_P + bins_of(mean_P),
            weights=self._weight_P,
            minlength=2 * (BINS + 1) * len(total_N),
        )
        curves = dice_of_histograms(histogram.astype(np.float64).reshape(len(total_N), 2, BINS + 1)).astype(
            np.float32
        )
        curves[total_N == 0] = np.nan
        self._curves[selection] = curves
        while len(self._curves) * curves.nbytes > _CURVE_BYTES and len(self._curves) > 1:
            self._curves.popitem(last=False)
        return curves

    def _mean(self, selection: Selection) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the mean probabilities, (pixels,), and the weights that each image has of it, (images,)."""
        covered_VN = self._covered_VN[[self._place[item] for item in selection.recipe_views]]
        total_N = np.array(selection.weights) @ covered_VN
        share_N = np.divide(1, total_N, out=np.zeros(len(total_N)), where=total_N > 0).astype(np.float32)
        return self._sum(selection) * np.repeat(share_N, self._counts), total_N

    def _sum(self, selection: Selection) -> NDArray[np.float32]:
        """Return the weighted sum of the probabilities, (pixels,): of the last selection and one addition."""
        if selection in self._sums:
            self._sums.move_to_end(selection)
            return self._sums[selection]
        *before, last = selection.recipe_views
        added: NDArray[np.float32] = self._prob_VP[self._place[last]] * np.float32(selection.weights[-1])
        if before:
            added += self._sum(Selection(tuple(before), selection.weights[:-1]))
        self._sums[selection] = added
        if len(self._sums) > _SUMS:
            self._sums.popitem(last=False)
        return added

    def quick(self, selection: Selection, ids: Collection[str], settings: Settings) -> float:
        """Return the mean Dice with the settings that `tune` finds for these images."""
        tuned = from_plain(SemanticFusion, self.tune(selection, ids, settings))
        rows = self._rows(selection, ids)
        places = [_place(tuned.threshold_of(self.held_out[self.ids[row]].info)) for row in rows]
        return float(self.curves(selection)[rows, places].mean(dtype=np.float64))

    def tune(self, selection: Selection, ids: Collection[str], settings: Settings) -> Settings:
        """Return the threshold of these images, and those of organs that do better with their own."""
        del settings
        rows = self._rows(selection, ids)
        curves_NT = self.curves(selection)[rows].astype(np.float64)
        threshold, _ = best_threshold(curves_NT)
        by_id = {self.ids[row]: curve for row, curve in zip(rows, curves_NT, strict=True)}
        infos = {image_id: self.held_out[image_id].info for image_id in by_id}
        by_organ = organ_thresholds(by_id, infos, threshold)
        plain: Settings = to_plain(SemanticFusion(threshold=threshold, thresholds=by_organ))
        return plain

    def _rows(self, selection: Selection, ids: Collection[str]) -> list[int]:
        known = self.curves(selection)[:, 0]
        return [self._row[image_id] for image_id in sorted(ids) if not np.isnan(known[self._row[image_id]])]

    def dice(self, image_id: str, assigned: Assigned) -> float | None:
        """Return an image's Dice, exact if `count` has seen it; None if the selection does not cover it."""
        threshold = _threshold(self.held_out[image_id], assigned.settings)
        exact = self._exact.get((image_id, assigned.selection, threshold))
        if exact is not None:
            return exact
        value = self.curves(assigned.selection)[self._row[image_id], _place(threshold)]
        return None if np.isnan(value) else float(value)

    def score(self, assigned: Mapping[str, Assigned]) -> float:
        """Return the mean Dice over images that may each have their own selection and settings."""
        found = [one for image_id, how in assigned.items() if (one := self.dice(image_id, how)) is not None]
        return float(np.mean(found)) if found else float("nan")

    def doubts(self, assigned: Mapping[str, Assigned]) -> dict[str, float]:
        """Return the doubts of the images that their selections cover; of a large one, from its sample."""
        found, stops = dict[str, float](), np.cumsum(self._counts)
        for selection in dict.fromkeys(how.selection for how in assigned.values()):
            mean_P, total_N = self._mean(selection)
            for image_id, how in assigned.items():
                row = self._row[image_id]
                if how.selection != selection or total_N[row] == 0:
                    continue
                own = slice(stops[row] - self._counts[row], stops[row])
                threshold = _threshold(self.held_out[image_id], how.settings)
                found[image_id] = _doubt(mean_P[own], self._weight_P[own], threshold)
        return found

    def count(self, wanted: Sequence[Mapping[str, Assigned]]) -> None:
        """Count every pixel of all these masks, so that their scores are exact from now on.

        Args:
            wanted: image id -> what it is predicted with, any number of times.

        Raises:
            KitError: a map is missing or damaged.
        """
        by_image: dict[str, dict[tuple[Selection, float], None]] = {}
        for assigned in wanted:
            for image_id, how in assigned.items():
                if image_id not in self.complete and self.dice(image_id, how) is not None:
                    key = (how.selection, _threshold(self.held_out[image_id], how.settings))
                    by_image.setdefault(image_id, {})[key] = None
        requests = [_count_request(self.held_out[image_id], masks) for image_id, masks in by_image.items()]
        counted = self.helpers.map(count_masks, requests)
        for (image_id, masks), dices in zip(by_image.items(), counted, strict=True):
            for (selection, threshold), value in zip(masks, dices, strict=True):
                self._exact[image_id, selection, threshold] = float(value)
            self._on_image()


def count_blocks_of(
    scores: SemanticScores, rungs: Sequence[Mapping[str, Assigned]], pairs: Sequence[tuple[int, int]]
) -> dict[str, BlockCounts]:
    """Count the blocks of every image under some rungs, pixel by pixel.

    Args:
        scores: have the images.
        rungs: what each image is predicted with.
        pairs: an earlier and a dearer rung, as places; what the earlier one's confident blocks change.

    Raises:
        KitError: a map is missing or damaged.
    """
    requests = []
    for image_id in scores.ids:
        image, how = scores.held_out[image_id], [rung[image_id] for rung in rungs]
        limits = [_threshold(image, one.settings) for one in how]
        masks = [(one.selection, limit) for one, limit in zip(how, limits, strict=True)]
        paths, weights = _weights(image, masks)
        requests.append(BlockRequest(paths, image.truth, weights, np.array(limits), tuple(pairs)))
    return dict(zip(scores.ids, scores.helpers.map(count_blocks, requests), strict=True))


def _threshold(image: HeldOut, settings: Settings) -> float:
    return from_plain(SemanticFusion, settings).threshold_of(image.info)


def _count_request(image: HeldOut, masks: Collection[tuple[Selection, float]]) -> CountRequest:
    """Return the request that counts masks of an image: selections, each cut at a threshold."""
    paths, weights = _weights(image, masks)
    return CountRequest(paths, image.truth, weights, np.array([threshold for _, threshold in masks]))


def _weights(
    image: HeldOut, masks: Collection[tuple[Selection, float]]
) -> tuple[tuple[Path, ...], NDArray[np.float64]]:
    """Return the maps that masks need, and their weights in each, (masks, maps)."""
    used = [item for item in image.maps if any(item in selection.recipe_views for selection, _ in masks)]
    weights = np.zeros((len(masks), len(used)))
    for row, (selection, _) in enumerate(masks):
        for recipe_view, weight in zip(selection.recipe_views, selection.weights, strict=True):
            if recipe_view in used:
                weights[row, used.index(recipe_view)] = weight
    return tuple(image.maps[item] for item in used), weights


def _doubt(mean_P: NDArray[np.float32], weight_P: NDArray[np.float32], threshold: float) -> float:
    """Return the doubt of a mask, from pixels that each stand for some."""
    mask_P, wide_P = mean_P >= np.float32(threshold), weight_P.astype(np.float64)
    prob_P = mean_P * wide_P
    return expected_loss(float(prob_P[mask_P].sum()), float(prob_P.sum()), float(wide_P[mask_P].sum()))


def bins_of(mean_P: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of the last threshold that each probability reaches, 0 if it reaches none.

    The comparison is the one that the fusion makes, in float32: 0.29 as float32 reaches the threshold 0.29.
    """
    edges = np.concatenate([[-np.inf], thresholds(), [np.inf]]).astype(np.float32)
    # The product is off by one at most; np.searchsorted would do the same in ten times the time.
    level = np.clip((mean_P * np.float32(BINS)).astype(np.int64), 0, BINS - 1)
    level += edges[level + 1] <= mean_P
    level -= edges[level] > mean_P
    return level


def dice_of_histograms(histogram_N2B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Dice of images for every threshold 1/BINS, 2/BINS, ... at once, from two histograms each.

    Each pixel is in the bin of the last threshold that its mean probability reaches; background and
    foreground are counted apart. A sum from the end of the histogram then tells, for each threshold, how many
    pixels of either kind are predicted. With thresholds 1/4, 2/4, 3/4 and six pixels, three of them true:

        probability         0.1  0.3  0.6  0.6  0.8  0.9     bin  0   1   2   3
        true                 -    -    -    x    x    x      x    0   0   1   2
                                                             -    1   1   1   0
        threshold 2/4       reached by 3 true ones (1 + 2) and 1 other (1 + 0): 2 * 3 / (4 + 3) = 0.86

    Args:
        histogram_N2B: (images, background and foreground, BINS + 1).

    Returns:
        (images, BINS - 1); 1 where truth and prediction are both empty.
    """
    # Reversed, summed, reversed: [1, 2, 4] becomes [7, 6, 4], what is in a bin or in a later one. Bin 0 holds
    # the pixels below the first threshold and belongs to none.
    reached = histogram_N2B[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]
    hit = reached[:, 1, 1:BINS]
    total = hit + reached[:, 0, 1:BINS] + reached[:, 1, :1]
    return np.where(total > 0, 2 * hit / np.maximum(total, 1e-9), 1.0)


def _place(threshold: float) -> int:
    """Return where a threshold is in a curve."""
    return round(threshold * BINS) - 1
