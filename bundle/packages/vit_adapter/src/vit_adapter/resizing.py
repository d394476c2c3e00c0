"""Fit pre-trained tables to another size: relative position biases, position embeddings, patch kernels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .layers import resize_positions

_EXTRA_BIAS_ROWS = 3
_MOST_LEADING_TOKENS = 8
_SMALLEST_HALF_WIDTH = 2


def table_side(rows: int) -> int | None:
    """Side 2w - 1 of the square of offsets in a relative position table of a w x w window.

    Args:
        rows: Rows of the table.

    Returns:
        The side, or None when `rows` is not the square of an odd number.
    """
    side = math.isqrt(rows)
    return side if side * side == rows and side % 2 else None


def drop_extra_bias_rows(table_RH: Tensor) -> Tensor:
    """Drop BEiT's three rows for the class token, if the table still has them.

    An odd square and another odd square differ by a multiple of 8, so the row count alone tells.

    Args:
        table_RH: Relative position biases, (2w-1)^2 or (2w-1)^2 + 3 rows x heads.

    Returns:
        Table of (2w-1)^2 rows; the very same tensor if it was converted before.

    Raises:
        ValueError: If the number of rows is neither.
    """
    rows = table_RH.shape[0]
    if table_side(rows) is not None:
        return table_RH
    if rows > _EXTRA_BIAS_ROWS and table_side(rows - _EXTRA_BIAS_ROWS) is not None:
        return table_RH[:-_EXTRA_BIAS_ROWS]
    raise ValueError(
        f"a relative position table of {rows} rows fits no window of w x w: it would have (2w-1)^2 rows, "
        "or 3 more for a class token"
    )


def geometric_ratio(source_half: int, target_half: int) -> float:
    """Ratio q >= 1 with 1 + q + ... + q^(source_half - 1) = target_half, by bisection.

    Args:
        source_half: Offsets on one side of a table's centre, at least 2.
        target_half: The same of the larger table.

    Returns:
        q, to the resolution of a double.

    Raises:
        ValueError: If the progression cannot reach the target.
    """
    if not _SMALLEST_HALF_WIDTH <= source_half <= target_half:
        raise ValueError(
            f"no growing geometric progression of {source_half} steps from 1 ends at {target_half}: "
            "tables are enlarged from windows of 3 or more"
        )
    low, high = 1.0, float(target_half)
    while low < (middle := (low + high) / 2) < high:
        if sum(middle**step for step in range(source_half)) > target_half:
            high = middle
        else:
            low = middle
    return low


def geometric_grid(source_half: int, target_half: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Where the offsets of a smaller table lie among those of a larger: dense at the centre, sparse outside.

    Args:
        source_half: Offsets on one side of the smaller table's centre.
        target_half: The same of the larger table.

    Returns:
        Symmetric coordinates from -target_half to target_half, 2 * source_half + 1 of them.

    Raises:
        ValueError: As `geometric_ratio`.
    """
    ratio = geometric_ratio(source_half, target_half)
    positive = np.cumsum(ratio ** np.arange(source_half, dtype=np.float64))
    return np.concatenate([-positive[::-1], [0.0], positive])


def resize_relative_bias(table_RH: Tensor, rows: int) -> Tensor:
    """Fit a relative position table to another window, as BEiT does when fine-tuning at another size.

    A larger table is read off a bicubic spline through the smaller one, whose offsets are spread over the
    larger range in a geometric progression: near offsets keep their meaning, far ones are stretched. A small
    table is the centre of the larger one, where all offsets keep their meaning.

    Args:
        table_RH: (2s-1)^2 rows x heads, offsets in row-major order, without extra rows.
        rows: (2t-1)^2 rows of the wanted table.

    Returns:
        Table of `rows` x heads, of the same dtype.

    Raises:
        ValueError: If a table is not of a square window, or is enlarged from a window below 3.
    """
    source, target = table_side(table_RH.shape[0]), table_side(rows)
    if source is None or target is None:
        raise ValueError(
            f"cannot resize a relative position table of {table_RH.shape[0]} rows to {rows}: not square"
        )
    if source == target:
        return table_RH
    heads = table_RH.shape[1]
    if target < source:
        cut = slice((source - target) // 2, (source + target) // 2)
        return table_RH.reshape(source, source, heads)[cut, cut].reshape(rows, heads).contiguous()
    from scipy.interpolate import RectBivariateSpline

    grid = geometric_grid(source // 2, target // 2)
    wanted = np.arange(-(target // 2), target // 2 + 1, dtype=np.float64)
    maps_HYX = table_RH.detach().double().cpu().numpy().T.reshape(heads, source, source)
    resized_HYX = np.stack([RectBivariateSpline(grid, grid, map_YX)(wanted, wanted) for map_YX in maps_HYX])
    return torch.from_numpy(resized_HYX.reshape(heads, rows).T.copy()).to(table_RH)


def leading_tokens(rows: int) -> int:
    """Number of class or distillation entries in front of a square grid of positions.

    Args:
        rows: Rows of a position embedding.

    Returns:
        The smallest number that leaves a square.

    Raises:
        ValueError: If more than 8 had to be taken away.
    """
    for tokens in range(_MOST_LEADING_TOKENS + 1):
        if rows > tokens and math.isqrt(rows - tokens) ** 2 == rows - tokens:
            return tokens
    raise ValueError(f"a position embedding of {rows} rows is not a square grid behind a few tokens")


def resize_position_embedding(pos_NC: Tensor, rows: int) -> Tensor:
    """Fit a position embedding to another grid by bicubic interpolation (align_corners False).

    Args:
        pos_NC: Entries of leading tokens, then of a square grid in row-major order, x channels.
        rows: Of the wanted embedding, a square grid behind no more leading tokens than `pos_NC` has.

    Returns:
        Embedding of `rows` x channels, of the same dtype; the first leading entries are kept as they are.

    Raises:
        ValueError: If a grid is not square or a wanted token has no entry.
    """
    source_tokens, target_tokens = leading_tokens(pos_NC.shape[0]), leading_tokens(rows)
    if target_tokens > source_tokens:
        raise ValueError(
            f"the backbone's position embedding has {target_tokens} leading tokens, the checkpoint's has "
            f"{source_tokens}"
        )
    source, target = math.isqrt(pos_NC.shape[0] - source_tokens), math.isqrt(rows - target_tokens)
    grid_1NC = pos_NC[source_tokens:][None].float()
    resized_NC = resize_positions(grid_1NC, (source, source), (target, target))[0]
    return torch.cat([pos_NC[:target_tokens], resized_NC.to(pos_NC)])


def resize_patch_kernel(weight_OIHW: Tensor, side: int) -> Tensor:
    """Fit a patch embedding's kernel to another patch size by bilinear interpolation (align_corners False).

    Args:
        weight_OIHW: Kernel of side x side pixels.
        side: Wanted pixels on a side; the published DINOv2 detectors go from 14 to 16.

    Returns:
        Kernel of the wanted size, of the same dtype.
    """
    weight_OIhw = functional.interpolate(
        weight_OIHW.float(), (side, side), mode="bilinear", align_corners=False
    )
    return weight_OIhw.to(weight_OIHW)
