"""Published operations that albumentations 2.0.8 has no longer, or has with another behaviour.

Names, arguments and defaults are those of the versions the recipes were published with. A class is made with
the arguments, and called with an example and its generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kit.errors import KitError
from train_local.augment.operation import Example


@dataclass(frozen=True)
class Flip:
    """Mirror along rows, columns, or both: three cases, drawn evenly."""

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Draw the case and mirror image and masks."""
        code = int(random.integers(-1, 2))  # OpenCV's: 0 mirrors rows, 1 columns, -1 both
        masks_NHW = _masks(example, lambda mask_HW: cv2.flip(mask_HW, code))
        return replace(example, image=cv2.flip(example.image, code), masks=masks_NHW)


@dataclass(frozen=True)
class RandomRotate90:
    """Turn by 0 to 3 quarter turns, drawn evenly; OpenCV takes a fifth of 2.0.8's time for it."""

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Draw the turns and turn image and masks."""
        turns = int(random.integers(4))
        if turns == 0:
            return example
        code = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)[turns - 1]
        masks_NHW = _masks(example, lambda mask_HW: cv2.rotate(mask_HW, code))
        return replace(example, image=cv2.rotate(example.image, code), masks=masks_NHW)


@dataclass(frozen=True)
class Crop:
    """Cut out a fixed rectangle, in pixels, far ends exclusive."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int

    def __call__(self, example: Example, random: np.random.Generator) -> Example:  # noqa: ARG002 - same call as all
        """Cut image and masks."""
        height, width = example.image.shape[:2]
        if self.x_max > width or self.y_max > height:
            raise KitError(
                f"a crop ends at column {self.x_max} and row {self.y_max}, "
                f"but the image has {width} x {height} pixels",
                fix="prepare the images at the recipe's size, or take the crop out of the recipe",
            )
        return _cut(example, slice(self.y_min, self.y_max), slice(self.x_min, self.x_max))


@dataclass(frozen=True)
class AddGammaCorrection:
    """Whiten: v -> v^(1/gamma2), and v -> v^(1/gamma1) in dark pixels; v from 0 to 1. Nothing is drawn.

    A pixel is dark if its mean over the channels is below the image's mean by more than 0.8 of the image's
    deviation. With the published 2.5 and 4, v = 0.4 becomes 0.80, and 0.69 in a dark pixel.
    """

    gamma1: float = 2.5
    gamma2: float = 4.0

    def __call__(self, example: Example, random: np.random.Generator) -> Example:  # noqa: ARG002 - same call as all
        """Recolour the image."""
        image_HWC = example.image
        mean, deviation = cv2.meanStdDev(image_HWC.reshape(-1, 1))
        # The mean of three bytes is below t if their sum is below 3 t.
        sums_HW = cv2.transform(image_HWC.astype(np.uint16), np.ones((1, 3)))
        dark_HW = sums_HW < 3 * (mean.item() - 0.8 * deviation.item())
        values = np.arange(256) / 255
        first, second = (
            np.rint(255 * values ** (1 / gamma)).astype(np.uint8) for gamma in (self.gamma1, self.gamma2)
        )
        changed_HWC = cv2.LUT(image_HWC, second)
        changed_HWC[dark_HW] = cv2.LUT(image_HWC, first)[dark_HW]
        return replace(example, image=changed_HWC)


@dataclass(frozen=True)
class Cutout:
    """Fill rectangles of a fixed size. Their centres lie anywhere, so the image's edge cuts some of them.

    What is annotated there stays annotated.
    """

    num_holes: int = 8
    max_h_size: int = 8
    max_w_size: int = 8
    fill_value: int = 0

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Fill rectangles of the image."""
        image_HWC = example.image.copy()
        height, width = image_HWC.shape[:2]
        for y, x in random.integers((0, 0), (height, width), (self.num_holes, 2)).tolist():
            top, left = max(y - self.max_h_size // 2, 0), max(x - self.max_w_size // 2, 0)
            bottom, right = (
                y - self.max_h_size // 2 + self.max_h_size,
                x - self.max_w_size // 2 + self.max_w_size,
            )
            image_HWC[top:bottom, left:right] = self.fill_value
        return replace(example, image=image_HWC)


@dataclass(frozen=True)
class GridDropout:
    """Fill a square in each cell of a grid, at the same place in all cells.

    A cell is a tenth of the width. In an image of 512 with ratio 0.5, for example, cells have 51 pixels and
    squares 25; with `random_offset` they begin 0 to 26 pixels into their cells, drawn once for all rows and
    once for all columns.
    """

    ratio: float = 0.5
    random_offset: bool = False
    fill_value: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio is {self.ratio}; it has to be above 0 and at most 1")

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Fill squares of the image."""
        image_HWC = example.image.copy()
        height, width = image_HWC.shape[:2]
        cell = max(width // 10, 2)
        cells = max(min(cell, height), 2), cell
        holes = [min(max(int(side * self.ratio), 1), side - 1) for side in cells]
        starts = [
            int(random.integers(side - hole + 1)) if self.random_offset else 0
            for side, hole in zip(cells, holes, strict=True)
        ]
        rows, columns = (
            (np.arange(length) - start) % side < hole
            for length, start, side, hole in zip((height, width), starts, cells, holes, strict=True)
        )
        rows[: starts[0]] = columns[: starts[1]] = False
        image_HWC[np.ix_(rows, columns)] = self.fill_value
        return replace(example, image=image_HWC)


@dataclass(frozen=True)
class GaussianBlur:
    """Blur with an odd kernel between the limits, whose deviation OpenCV takes from its size.

    2.0.8 draws the deviation, too.
    """

    blur_limit: tuple[int, int] = (3, 7)

    def __post_init__(self) -> None:
        low, high = self.blur_limit
        if low < 1 or high < low or low % 2 == 0:
            raise ValueError(
                f"blur_limit is {self.blur_limit}; it has to be two odd numbers, the lower one first"
            )

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Blur the image."""
        size = int(random.choice(np.arange(self.blur_limit[0], self.blur_limit[1] + 1, 2)))
        return replace(example, image=cv2.GaussianBlur(example.image, (size, size), 0))


@dataclass(frozen=True)
class PiecewiseAffine:
    """Move the points of a regular grid, and what is between them along with them; black comes in.

    The points move by a normally distributed part of the side, whose deviation is drawn between the ends of
    `scale`. Three neighbouring points are a triangle, and a pixel inside takes its source from where the
    triangle's corners take theirs, as in scikit-image. 2.0.8 weights all points by their distance instead,
    and takes a second for an image of 320.
    """

    scale: tuple[float, float] = (0.03, 0.05)
    nb_rows: int = 4
    nb_cols: int = 4

    def __post_init__(self) -> None:
        if min(self.nb_rows, self.nb_cols) < 2:
            raise ValueError(f"a grid of {self.nb_rows} x {self.nb_cols} points; at least 2 x 2 are needed")

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Warp image and masks."""
        height, width = example.image.shape[:2]
        rows, columns = np.linspace(0, height, self.nb_rows), np.linspace(0, width, self.nb_cols)
        grid_RC2 = np.stack(np.meshgrid(columns, rows), axis=-1)
        jitter_RC2 = random.normal(0, random.uniform(*self.scale), grid_RC2.shape) * (width, height)
        sources_RC2 = np.clip(grid_RC2 + jitter_RC2, 0, (width - 1, height - 1)).astype(np.float32)
        sources_HW2 = _between(sources_RC2, height, width)
        return _warped(
            example,
            lambda values, how: cv2.remap(values, sources_HW2, None, how, borderMode=cv2.BORDER_CONSTANT),
        )


@dataclass(frozen=True)
class CornerShift:
    """Move three corners of a square in the middle by up to `pixels`, and the image along with them.

    albumentations' ElasticTransform did this before its waves, up to version 1.3. The square's half side is a
    third of the image's shorter side.
    """

    pixels: float
    border: int

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Warp image and masks; instances get nothing from the mirrored border."""
        height, width = example.image.shape[:2]
        middle, half = np.array([height, width], np.float32) // 2, min(height, width) // 3
        corners = np.stack([middle + half, middle + np.array([half, -half]), middle - half]).astype(
            np.float32
        )
        shifted = corners + random.uniform(-self.pixels, self.pixels, (3, 2)).astype(np.float32)
        matrix = cv2.getAffineTransform(corners, shifted)

        def warp(values: NDArray[Any], how: int) -> NDArray[Any]:
            # `how` is "nearest pixel" for masks only.
            border = cv2.BORDER_CONSTANT if example.instances and how == cv2.INTER_NEAREST else self.border
            warped: NDArray[Any] = cv2.warpAffine(
                values, matrix, (width, height), flags=how, borderMode=border
            )
            return warped

        return _warped(example, warp)


def moved(masks_NHW: NDArray[np.uint8], move: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.uint8]:
    """Do to each mask what `move` does to one, which has to take the nearest pixel for each.

    Masks that do not overlap are moved as one image of numbers: in a corner with masks 1 and 2

        1 1 0       0 1 1
        0 0 2  ->   0 0 0  one column to the right: mask 1 is where a 1 is, and mask 2 is gone.
    """
    count = len(masks_NHW)
    labels_HW = np.zeros(masks_NHW.shape[1:], np.uint8 if count < 256 else np.int16)
    areas = 0
    for number, mask_HW in enumerate(masks_NHW, start=1):
        left, top, width, height = cv2.boundingRect(mask_HW)
        box = (slice(top, top + height), slice(left, left + width))
        areas += cv2.countNonZero(mask_HW[box]) if width else 0
        labels_HW[box][mask_HW[box] > 0] = number
    if areas != cv2.countNonZero(labels_HW):
        return np.stack([move(mask_HW) for mask_HW in masks_NHW])
    labels_HW = move(labels_HW)
    result = np.zeros((count, *labels_HW.shape), np.uint8)
    for number, place in enumerate(ndimage.find_objects(labels_HW, count)):
        if place is not None:
            result[number][place] = labels_HW[place] == number + 1
    return result


def _between(points_RC2: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Values at all pixels, from those at the points of a regular grid; two triangles are a cell.

    In a cell with the values a b above c d, a pixel that is u of the way to the right and v of the way down
    has

        a + u (b - a) + v (c - a)  above the diagonal from b to c (u + v < 1), and
        d + (1 - u) (c - d) + (1 - v) (b - d)  below it.
    """
    values_HW2 = np.empty((height, width, 2), np.float32)
    last_row, last_column = points_RC2.shape[0] - 1, points_RC2.shape[1] - 1
    rows = [-(-height * row // last_row) for row in range(last_row + 1)]
    columns = [-(-width * column // last_column) for column in range(last_column + 1)]
    for row in range(last_row):
        y = np.arange(rows[row], rows[row + 1], dtype=np.float32)
        v = (y * last_row / height - row)[:, None, None]
        for column in range(last_column):
            x = np.arange(columns[column], columns[column + 1], dtype=np.float32)
            u = (x * last_column / width - column)[None, :, None]
            (a, b), (c, d) = points_RC2[row : row + 2, column : column + 2]
            above = a + u * (b - a) + v * (c - a)
            below = d + (1 - u) * (c - d) + (1 - v) * (b - d)
            cell = (slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1]))
            values_HW2[cell] = np.where(u + v < 1, above, below)
    return values_HW2


def _warped(example: Example, warp: Callable[[NDArray[Any], int], NDArray[Any]]) -> Example:
    """Warp the image with interpolated values, masks with the nearest pixel."""

    def nearest(mask_HW: NDArray[Any]) -> NDArray[Any]:
        return warp(mask_HW, cv2.INTER_NEAREST)

    return replace(example, image=warp(example.image, cv2.INTER_LINEAR), masks=_masks(example, nearest))


def _masks(example: Example, move: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.uint8]:
    """All masks of an example, moved."""
    if example.instances:
        return moved(example.masks, move)
    only: NDArray[np.uint8] = move(example.masks[0])[None]
    return only


def _cut(example: Example, rows: slice, columns: slice) -> Example:
    return replace(
        example,
        image=np.ascontiguousarray(example.image[rows, columns]),
        masks=np.ascontiguousarray(example.masks[:, rows, columns]),
    )
