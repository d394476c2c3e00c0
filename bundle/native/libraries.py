"""Compiled libraries of some targets: kept ones, else by the first way that is open."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle import mmcv_wheel
from bundle.native import compile_program
from bundle.native.order import Order, order_of
from bundle.native.variant import Variant, variant_of
from kit.artefacts import read_json, sha256_file
from kit.errors import KitError
from kit.local.locks import only_one
from kit.local.place_file import place_file
from kit.local.targets import Target

Way = Callable[[Order, Target, Path, Path], str | None]
"""Takes order, target, a folder for the library and a log; returns why not, None if the library is there."""
_PATIENCE = 7200.0


@dataclass(frozen=True, kw_only=True)
class Library:
    """A compiled library.

    Attributes:
        variant: for what.
        path: of the file.
        how: the way it came, or "kept".
    """

    variant: Variant
    path: Path
    how: str


def libraries(
    images: Sequence[Target],
    release: mmcv_wheel.Release,
    cache: Path,
    ways: Mapping[str, Way],
    *,
    say: Callable[[str], None],
) -> tuple[list[Library], dict[str, str]]:
    """Return the libraries of some targets, each variant once, and target -> why it has none.

    Args:
        images: the targets.
        release: of mmcv-full.
        cache: folder of downloads; libraries and logs are kept in `native` in it, under their order.
        ways: name -> way, in the order in which they are tried.
        say: takes progress.

    Raises:
        KitError: a way that was open failed.
    """
    found: dict[Variant, Library] = {}
    without: dict[str, str | Variant] = {}
    reasons: dict[Variant, str] = {}
    with only_one(cache / "native" / ".lock", doing="compiles mmcv here", wait=_PATIENCE, told=say):
        for target in images:
            variant = variant_of(target)
            without[target.name] = variant
            if not isinstance(variant, str) and variant not in found:
                order = order_of(variant, release)
                library = _library(order, target, cache / "native" / order.identity[:32], ways, say)
                if isinstance(library, Library):
                    found[variant] = library
                else:
                    reasons[variant] = library
    # A later target of the same variant may have a container that is known, so this is asked at the end.
    missing = {
        name: variant if isinstance(variant, str) else reasons[variant]
        for name, variant in without.items()
        if variant not in found
    }
    return list(found.values()), missing


def _library(
    order: Order, target: Target, folder: Path, ways: Mapping[str, Way], say: Callable[[str], None]
) -> Library | str:
    """Return a library, or why no way led to it."""
    place = folder / f"{order.variant.module}.so"
    if _is_kept(order, folder):
        return Library(variant=order.variant, path=place, how="kept")
    reasons = []
    for name, way in ways.items():
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{name}.log"
        say(f"{target.name}: mmcv's operators for {order.variant}, {name}; compiling takes minutes: {log}")
        log.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.resolve(), prefix=".compile-") as scratch:
            made = Path(scratch)
            if (reason := way(order, target, made, log)) is not None:
                reasons.append(f"{name}: {reason}")
                continue
            if not _is_kept(order, made):
                raise KitError(
                    f"what came back ({name}) is not the library that was ordered",
                    where=log if log.exists() else folder,
                    fix="read the log, and run the command again",
                )
            # The description last: a library without it is compiled again.
            for file in (place.name, compile_program.RESULT):
                place_file(made / file, folder / file)
        return Library(variant=order.variant, path=place, how=name)
    return "; ".join(reasons) or "it is not compiled yet"


def _is_kept(order: Order, folder: Path) -> bool:
    """Return whether a folder holds the library of an order, undamaged."""
    told, library = folder / compile_program.RESULT, folder / f"{order.variant.module}.so"
    if not told.is_file() or not library.is_file():
        return False
    try:
        result = read_json(told)
    except KitError:
        return False
    wanted = (order.identity, sha256_file(library))
    return isinstance(result, dict) and (result.get("order"), result.get("sha256")) == wanted
