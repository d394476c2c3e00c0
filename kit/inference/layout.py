"""Where the windows of one image lie, and at which sizes a network sees them: settings made pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.errors import KitError
from kit.inference.resize import fit
from kit.inference.settings import SemanticSettings
from kit.inference.tiles import Tile, count, plan

_LARGEST_WHOLE = 1 << 26
"""Pixels of an image that is read as a whole: 0.2 GB of colours, 0.3 GB of probabilities."""
_LARGEST_FACTOR = 64.0
"""Between pixel sizes; the competitions' differ by 27 at most."""
_LARGEST_INPUT = 1 << 14
"""Pixels a side that a network is shown: ten times as many as the largest published."""
_LARGEST_WINDOW = 1 << 16
"""Pixels a side that a window may have at full resolution: fourteen times the largest published."""


@dataclass(frozen=True)
class Layout:
    """The windows of one image under the views of one pass.

    Attributes:
        height: rows of the image.
        width: its columns.
        core: pixels a side that each window decides, full resolution; None when the image is seen whole.
        context: more pixels around the core.
        inputs: what the network sees of a window, (rows, columns), one for each scale of the views.
    """

    height: int
    width: int
    core: int | None
    context: int
    inputs: tuple[tuple[int, int], ...]

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of a window, full resolution."""
        if self.core is None:
            return self.height, self.width
        return self.core + 2 * self.context, self.core + 2 * self.context

    def tiles(self) -> Iterator[Tile]:
        """The cores, row by row; together they are every pixel exactly once."""
        if self.core is None:
            return iter([Tile(0, 0, self.height, self.width)])
        return plan(self.height, self.width, self.core)

    def __len__(self) -> int:
        return 1 if self.core is None else count(self.height, self.width, self.core)


def layout(
    settings: SemanticSettings,
    scales: Sequence[float],
    size: tuple[int, int],
    *,
    pixel_size: float | None,
    where: str,
) -> Layout:
    """Lay windows over an image.

    Args:
        settings: of the member.
        scales: of the views, each once.
        size: (height, width) of the image.
        pixel_size: of the image, micrometres, None if not known. If it is not the settings', core and context
            grow or shrink to the same micrometres, to within a pixel, and the input sizes stay.
        where: member and image, for messages.

    Raises:
        KitError: the image is too large to be seen whole, its pixel size is absurd, a view's scale leaves no
            pixel, or windows or inputs are larger than any memory.
    """
    height, width = size
    if settings.size is not None:
        if height * width > _LARGEST_WHOLE:
            raise KitError(
                f"an image of {height} x {width} is too large to be seen whole",
                where=where,
                fix="give the recipe's inference settings core, context and scale instead of size",
            )
        wanted = [max(1, int(settings.size * scale + 0.5)) for scale in scales]
        _require_at_most(_LARGEST_INPUT, max(wanted), "a network input", where)
        return Layout(height, width, None, 0, tuple(fit(height, width, longer) for longer in wanted))
    core, context, scale = settings.windows
    sides = [int(settings.window * scale * of_view + 0.5) for of_view in scales]
    if min(sides) < 1:
        raise KitError(
            f"scale {min(scales)} of a view leaves nothing of a window of {settings.window} pixels",
            where=where,
            fix="correct the recipe's views",
        )
    _require_at_most(_LARGEST_INPUT, max(sides), "a network input", where)
    if settings.pixel_size is not None and pixel_size is not None:
        factor = _factor(settings.pixel_size, pixel_size, where)
        window = settings.window * factor
        core = max(1, round(core * factor))
        context = max(0, round((window - core) / 2))
    _require_at_most(_LARGEST_WINDOW, core + 2 * context, "a window", where)
    return Layout(height, width, core, context, tuple((side, side) for side in sides))


def _require_at_most(limit: int, side: int, what: str, where: str) -> None:
    if side > limit:
        raise KitError(
            f"{what} of {side} pixels a side is more than {limit}",
            where=where,
            fix="correct the recipe's inference settings or views",
        )


def _factor(expected: float, found: float, where: str) -> float:
    factor = expected / found if math.isfinite(found) and found > 0 else math.nan
    if not 1 / _LARGEST_FACTOR <= factor <= _LARGEST_FACTOR:
        raise KitError(
            f"a pixel of {found} um is absurd beside the settings' {expected} um",
            where=where,
            fix="correct the competition's metadata or pixel_size in the recipe's inference settings",
        )
    return factor
