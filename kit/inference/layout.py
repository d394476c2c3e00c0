"""Where the windows of one image lie, and at which sizes a network sees them.

Core, context and input of a window, from settings of core 512, context 128, scale 0.5 and pixel size 0.5 um:

    image of 0.5 um     core 512, context 128: windows of 768 pixels, which the network sees as 384 x 384
    image of 0.25 um    core 1024, context 256: windows of 1536 pixels, the same tissue, seen as 384 x 384
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.errors import KitError
from kit.inference.resize import fit
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.tiles import Tile, count, plan

_LARGEST_IMAGE = 1 << 26
"""Most pixels of an image that is seen at once: 0.2 GB of colours, 0.3 GB of probabilities."""
_LARGEST_FACTOR = 64.0
"""Largest ratio of pixel sizes; those of the competitions differ by 27 at most."""
_LARGEST_INPUT = 1 << 14
"""Most pixels per side of a network input: ten times the largest published."""
_LARGEST_WINDOW = 1 << 16
"""Most pixels per side of a window at full resolution: fourteen times the largest published."""


@dataclass(frozen=True)
class Layout:
    """The windows of one image under the views of one pass.

    Attributes:
        height: rows of the image.
        width: its columns.
        core: pixels per side of the part of the map that each window gives, full resolution; None when the
            image is one window.
        context: pixels that a window shows around its core.
        inputs: size (rows, columns) at which the network sees a window, for each scale of the views.
    """

    height: int
    width: int
    core: int | None
    context: int
    inputs: tuple[tuple[int, int], ...]

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of a window at full resolution."""
        if self.core is None:
            return self.height, self.width
        return self.core + 2 * self.context, self.core + 2 * self.context

    def tiles(self) -> Iterator[Tile]:
        """Return the cores, row by row; each pixel of the image is in exactly one."""
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
        scales: the scales of the views, each once.
        size: (height, width) of the image.
        pixel_size: of the image, micrometres, None if not known. If the settings have another one, core and
            context become so many pixels that they show the same micrometres; the input sizes stay.
        where: member and image, for messages.

    Raises:
        KitError: the image is too large for one window, its pixel size is absurd, a view's scale leaves no
            pixel, or windows or inputs are larger than any memory.
    """
    height, width = size
    if settings.size is not None:
        if height * width > _LARGEST_IMAGE:
            raise KitError(
                f"an image of {height} x {width} pixels is too large for one network input",
                where=where,
                fix="set core, context and scale instead of size in the recipe's inference settings",
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
            f"{what} has {side} pixels per side, the most are {limit}",
            where=where,
            fix="correct the recipe's inference settings or views",
        )


def _factor(expected: float, found: float, where: str) -> float:
    factor = expected / found if math.isfinite(found) and found > 0 else math.nan
    if not 1 / _LARGEST_FACTOR <= factor <= _LARGEST_FACTOR:
        raise KitError(
            f"the image's pixels have {found} um, the settings' {expected} um: such a ratio is a mistake",
            where=where,
            fix="correct the competition's metadata or pixel_size in the recipe's inference settings",
        )
    return factor
