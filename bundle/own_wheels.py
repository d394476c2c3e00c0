"""The distributions that are on no index, and how each of them becomes a wheel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from bundle import mmcv_wheel, own_wheel


def _from_sources(source: Path) -> Callable[[Path], Path]:
    return lambda cache: own_wheel.build_wheel(source, cache / "own")


OWN_WHEELS: Mapping[str, Callable[[Path], Path]] = {
    "mmcv-full": lambda cache: mmcv_wheel.build_wheel(cache / "own", cache=cache),
    **{name: _from_sources(source) for name, source in own_wheel.SOURCES.items()},
}
"""Normalised distribution name -> function from the cache folder to the path of the wheel that it builds."""


def own_wheels(names: Collection[str], cache: Path) -> dict[str, Path]:
    """Build those of our own wheels that are asked for; the same sources give the same bytes.

    Args:
        names: normalised distribution names; those that are not ours are passed over.
        cache: folder of downloads; the wheels go to `own` in it.

    Returns:
        Name -> path of its wheel.

    Raises:
        KitError: a wheel cannot be built.
    """
    return {name: make(cache) for name, make in OWN_WHEELS.items() if name in names}
