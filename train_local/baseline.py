"""Baselines without training, for comparison: Otsu's threshold, and the whole image as foreground.

Otsu's threshold splits an image's darkness (255 - grey) where the variance between the two classes is
largest. The darker class is foreground; in an instance competition each 8-connected component is one
instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kit.competitions.competition import Competition
from kit.competitions.definition import Split
from kit.errors import KitError
from kit.images.image_protocols import OpenImage, Reading
from kit.local.competitions.named import named
from kit.local.competitions.submission_files import write_submission
from kit.local.console import track
from kit.local.wording import counted
from kit.masks import coco
from kit.masks.rle import RunLengthEncoder
from kit.predictions import Instances, Prediction, SemanticMask

Kind = Literal["otsu", "otsu-smoothed", "all-foreground"]

_BAND = 1024
"""Rows that are in memory at a time."""
_SIGMA = 8.0
"""Sigma in pixels of the Gaussian blur of "otsu-smoothed"."""
_LEAST_AREA = 20
"""Pixels; smaller components are dropped as noise."""
_CONNECTIVITY = 8


def predict_baseline(
    competition: str | Path, data: Path, ids: Iterable[str], name: Kind
) -> dict[str, Prediction]:
    """Return the predictions of a baseline.

    Args:
        competition: name in `kit.competitions`, or the TOML file that describes it.
        data: its folder.
        ids: training or test images.
        name: "otsu"; "otsu-smoothed", the same after a Gaussian blur; "all-foreground", one mask per image
            that covers it.

    Raises:
        KitError: the baseline is unknown, or an image is missing or damaged.
    """
    if name not in get_args(Kind):
        raise KitError(f"no baseline is called {name!r}", fix=f"choose one of {', '.join(get_args(Kind))}")
    module = named(str(competition))
    if module.kind == "values" or module.format.classes:
        what = (
            "values"
            if module.kind == "values"
            else counted(len(module.format.classes), "class", plural="classes")
        )
        fix = "its sample submission is the baseline of such a competition"
        raise KitError(f"baselines find one class of masks, but {module.name} has {what}", fix=fix)
    chosen = list(ids)
    return {
        image_id: _predict(module.kind, _path(module, data, image_id), module.reading, name)
        for image_id in track(chosen, total=len(chosen), description=f"{name} baseline")
    }


def write_baseline(competition: str | Path, data: Path, out: Path, name: Kind) -> None:
    """Write the submission file of a baseline for a competition's test images.

    Args:
        competition: name in `kit.competitions`, or the TOML file that describes it.
        data: its folder.
        out: the file.
        name: as in `predict_baseline`.

    Raises:
        KitError: as `predict_baseline`, or the file cannot be written.
    """
    module = named(str(competition))
    predictions = predict_baseline(competition, data, module.test_ids(data), name)
    rows = [row for image_id, found in predictions.items() for row in module.rows(image_id, found)]
    write_submission(out, module.columns, rows)


def _path(module: Competition, data: Path, image_id: str) -> Path:
    splits: tuple[Split, ...] = ("test", "train")
    for split in splits:
        path = module.image_path(data, image_id, split)
        if path.exists():
            return path
    raise KitError(f"image {image_id} is missing", where=data, fix="unpack the competition's files again")


def _predict(kind: str, path: Path, reading: Reading, name: Kind) -> Prediction:
    with reading.open(path) as slide:
        if kind == "semantic":
            return _semantic(slide, name)
        return _instances(slide, name)


def _semantic(slide: OpenImage, name: Kind) -> SemanticMask:
    encoder = RunLengthEncoder(slide.width)
    for mask_HW, _ in _masks(slide, name):
        encoder.push(mask_HW)
    return SemanticMask(slide.height, slide.width, encoder.finish())


def _instances(slide: OpenImage, name: Kind) -> Instances:
    """Return one instance per component, scored by its mean darkness; a whole tile fits into memory."""
    import cv2

    parts = list(_masks(slide, name))
    mask_HW = np.concatenate([mask for mask, _ in parts])
    darkness_HW = np.concatenate([darkness for _, darkness in parts]).astype(np.float64)
    if name == "all-foreground":
        return Instances(slide.height, slide.width, np.ones(1), [coco.encode(mask_HW)])
    count, label_HW, table, _ = cv2.connectedComponentsWithStats(
        mask_HW.astype(np.uint8), connectivity=_CONNECTIVITY
    )
    areas = table[:, cv2.CC_STAT_AREA]
    # Sum of darkness by label, over the area: the mean of each component. Label 0 is the background.
    scores = np.bincount(label_HW.ravel(), darkness_HW.ravel(), count) / np.maximum(areas, 1) / 255
    kept = [number for number in range(1, count) if areas[number] >= _LEAST_AREA]
    kept.sort(key=lambda number: -scores[number])
    return Instances(
        slide.height, slide.width, scores[kept], [coco.encode(label_HW == number) for number in kept]
    )


def _masks(slide: OpenImage, name: Kind) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.uint8]]]:
    """Yield foreground and darkness, band by band."""
    threshold = 255 if name == "all-foreground" else otsu(_histogram(slide, name))
    for top in range(0, slide.height, _BAND):
        darkness_HW = _darkness(slide, top, name)
        everything = np.ones(darkness_HW.shape, dtype=np.bool_)
        yield (everything if name == "all-foreground" else darkness_HW > threshold), darkness_HW


def _histogram(slide: OpenImage, name: Kind) -> NDArray[np.int64]:
    counts = np.zeros(256, np.int64)
    for top in range(0, slide.height, _BAND):
        counts += np.bincount(_darkness(slide, top, name).ravel(), minlength=256)
    return counts


def _darkness(slide: OpenImage, top: int, name: Kind) -> NDArray[np.uint8]:
    """Return 255 - grey of the band from row `top` on, blurred for "otsu-smoothed".

    The blur reaches 32 rows, so a band of 1024 rows is read with 32 more at both sides and cut back
    afterwards: the result is the same as that of blurring the whole image.
    """
    import cv2

    # The blur of a band's edge rows needs rows of its neighbours: 4 sigma = 32 of them, beyond which a
    # Gaussian weighs 1/3000 of its peak. They are cut off again at the end.
    halo = int(4 * _SIGMA) if name == "otsu-smoothed" else 0
    first, last = max(top - halo, 0), min(top + _BAND + halo, slide.height)
    darkness_HW = 255 - cv2.cvtColor(slide.read_band(first, last), cv2.COLOR_RGB2GRAY)
    if halo:
        darkness_HW = cv2.GaussianBlur(darkness_HW, (2 * halo + 1, 2 * halo + 1), _SIGMA)
    band_HW: NDArray[np.uint8] = darkness_HW[top - first : top - first + min(_BAND, slide.height - top)]
    return band_HW


def otsu(counts: NDArray[np.int64]) -> int:
    """Return Otsu's threshold (1979): the v with the largest variance between {<= v} and {> v}.

    With w the pixels of a class and m its mean, the variance between both is w0 * w1 * (m0 - m1)^2. For four
    pixels of value 1, two of 2 and four of 8: v = 1 gives 4 * 6 * (1 - 6)^2 = 600, and v = 2 gives
    6 * 4 * (1.33 - 8)^2 = 1067. So 1 and 2 are background.

    Args:
        counts: histogram of the values 0, 1, 2, ...

    Returns:
        The smallest such v; the only value there is if all pixels are equal.
    """
    values = np.arange(len(counts), dtype=np.float64)
    below, total = np.cumsum(counts).astype(np.float64), float(counts.sum())
    moment = np.cumsum(counts * values)
    above = total - below
    split = (below > 0) & (above > 0)
    if not split.any():
        return int(np.flatnonzero(counts)[0])
    # Sums up to each value give both classes of every v at once: pixels `below` and their sum `moment`; what
    # is above is the total minus that.
    between = np.zeros(len(counts))
    means = moment[split] / below[split] - (moment[-1] - moment[split]) / above[split]
    between[split] = below[split] * above[split] * means**2
    return int(np.argmax(between))
