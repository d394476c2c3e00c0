"""A slide under four views: ours beside the way the kidney solution's inference was published."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.slide import OURS, SMALL_SIDE, Bench, bench

HEAD = ("way", "side", "windows", "read s", "net s", "rest s", "RLE s", "wall s", "GB", "IoU", "x ours")
"""Ours reads while the network computes; its `rest` is the wait for both, the fusion and the file between."""

SIDE = 12_288
VIEWS = ("identity", "hflip", "rot90", "transpose")


def rows(*, small: bool, rounds: int, size: int | None = None, threads: int = 1) -> Iterator[list[str]]:
    """Rows under `HEAD`.

    Args:
        small: a slide of some hundred pixels.
        rounds: of every way; each round runs all of them.
        size: side of the slide, `SIDE` by default: at 30000 the published way takes a quarter of an hour.
        threads: of the network.

    Raises:
        KitError: a way failed, or the masks differ.
    """
    side = size or (SMALL_SIDE if small else SIDE)
    with bench(side, small=small, threads=threads) as found:
        for _ in range(rounds):
            found.run("published", "published", VIEWS)
            for name, settings in OURS.items():
                found.run(name, "ours", ["+".join(VIEWS)], **settings)
        for name in OURS:
            found.require_same("published", name)
        for name in ("published", *OURS):
            yield _row(found, name)


def _row(found: Bench, name: str) -> list[str]:
    read, network, rle = (found.seconds(name, part) for part in ("read", "network", "rle"))
    wall = found.seconds(name)
    return [
        name,
        f"{found.side}",
        f"{found.seen(name)}",
        f"{read:.1f}" if read else "hidden",
        f"{network:.1f}",
        f"{wall - read - network - rle:.1f}",
        f"{rle:.1f}",
        f"{wall:.1f}",
        f"{found.gigabytes(name):.2f}",
        f"{found.iou(name, 'ours'):.3f}",
        f"{found.ratio(name, 'ours'):.2f}",
    ]
