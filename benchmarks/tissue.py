"""Count what skipping background saves and loses on labelled images, by our rule and by the published one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit import competitions
from kit.images.slide import open_slide
from kit.images.tissue import is_background
from kit.local.competitions.labelled import LabelledData
from kit.masks import coco, rle
from kit.predictions import Instances, Prediction, SemanticMask

SAMPLE = Path(__file__).parents[1] / "sample"
HEAD = ("images", "core + context", "cores", "rule", "skipped", "foreground pixels lost")
# The images of the sample are small: 320 x 256 for vasculature. The windows are smaller than those of a slide
# (2304 by default), so the rules see less of the surroundings here.
WINDOWS = {"kidney": ((64, 16), (128, 32), (256, 64)), "vasculature": ((64, 0), (64, 16))}
"""Competition -> pairs of the side of the cores and the width of their context, in pixels."""

Rule = Callable[[NDArray[np.uint8]], bool]


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`, two per size of windows.

    Args:
        small: only use the first size of each competition.
        rounds: not used, because nothing is timed; all parts have this argument.
    """
    del rounds
    for name, windows in WINDOWS.items():
        images = list(labelled(name))
        for core, context in windows[: 1 if small else None]:
            for rule, decide in (("ours", is_background), ("published", published_rule)):
                cores, skipped, lost = tally(images, core, context, decide)
                head = [f"{name} ({len(images)})", f"{core} + {context}"]
                yield [*head, f"{cores}", rule, f"{skipped}", f"{lost}"]


def published_rule(window_HWC: NDArray[np.uint8]) -> bool:
    """Return whether the 2nd place of the kidney competition left a window out of training.

    It left out windows that are dark on average, windows that are bright and even, and windows with more than
    a tenth of dark pixels.
    """
    # The last condition is the strictest: a window with 11 % of nearly black pixels, such as the padding
    # beside a slide, counts as background, whatever the other 89 % show.
    mean = window_HWC.mean()
    dark = (window_HWC.mean(axis=2) < 10).mean()
    return bool(mean < 10 or (mean > 205 and window_HWC.std() < 20) or dark > 0.1)


def labelled(name: str) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Yield each training image of a sample, uint8 (h, w, 3), with its foreground, bool (h, w)."""
    competition, data = competitions.get(name), SAMPLE / name
    folder = LabelledData(competition, data)
    for image, truth in folder.truth(folder.train_ids()).items():
        with open_slide(competition.image_path(data, image, "train")) as slide:
            yield slide.read_band(0, slide.height), _foreground(truth)


def tally(
    images: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]], core: int, context: int, decide: Rule
) -> tuple[int, int, int]:
    """Cut images into cores and decide on each core's window.

    Args:
        images: with their foreground.
        core: side of a core in pixels.
        context: pixels by which a window is larger than its core on each side; the image's border cuts it.
        decide: returns True for a window of background.

    Returns:
        Number of cores, number of cores that are background, number of foreground pixels in those.
    """
    # Example: image of 100 x 100, core 64, context 16. Cores begin at 0 and 64, so there are 2 * 2 = 4. The
    # window of the second row of cores has the rows 64 - 16 = 48 to 99, its core the rows 64 to 99.
    cores = skipped = lost = 0
    for image_HWC, truth_HW in images:
        for top in range(0, truth_HW.shape[0], core):
            for left in range(0, truth_HW.shape[1], core):
                down = slice(max(0, top - context), top + core + context)
                across = slice(max(0, left - context), left + core + context)
                cores += 1
                if decide(image_HWC[down, across]):
                    skipped += 1
                    lost += int(np.count_nonzero(truth_HW[top : top + core, left : left + core]))
    return cores, skipped, lost


def _foreground(truth: Prediction) -> NDArray[np.bool_]:
    if isinstance(truth, SemanticMask):
        return rle.decode(truth.runs, truth.height, truth.width)
    assert isinstance(truth, Instances), "the samples have masks of one class, or instances"
    mask_HW = np.zeros((truth.height, truth.width), np.bool_)
    for counts in truth.masks:
        mask_HW |= coco.decode(counts, truth.height, truth.width)
    return mask_HW
