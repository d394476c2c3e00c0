"""Predict a slide under four views: our engine and the published inference of the kidney solution."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.slide import OURS, SMALL_SIDE, Bench, bench

HEAD = ("way", "side", "windows", "read s", "net s", "rest s", "RLE s", "wall s", "GB", "IoU", "x ours")
"""`rest s`: wall time without reading, network and run lengths. Ours reads while the network computes, so its
`read` is "hidden", and its `rest` is waiting, fusion, and the file between passes and fusion."""

SIDE = 12_288
# The four views are the published ones: with and without a mirror, with and without a quarter turn. `ours`
# runs them as one pass over the slide ("identity+hflip+rot90+transpose"), so it reads each window once for
# all views.
VIEWS = ("identity", "hflip", "rot90", "transpose")
PUBLISHED = {"published": "published", "published, memory settings of our workers": "published, configured"}
"""Row -> way in `slide_ways.WAYS`: as it was published, and in a process with the settings of ours."""


def rows(*, small: bool, rounds: int, size: int | None = None, threads: int = 1) -> Iterator[list[str]]:
    """Yield rows under `HEAD`.

    Args:
        small: use a slide of `SMALL_SIDE` pixels.
        rounds: number of rounds; each way runs once per round.
        size: side of the slide; `SIDE` by default, because at 30000 the published way takes 15 minutes.
        threads: of the network on the CPU.

    Raises:
        KitError: a way failed, or the masks differ.
    """
    side = size or (SMALL_SIDE if small else SIDE)
    with bench(side, small=small, threads=threads) as found:
        for _ in range(rounds):
            for name, way in PUBLISHED.items():
                found.run(name, way, VIEWS)
            for name, settings in OURS.items():
                found.run(name, "ours", ["+".join(VIEWS)], **settings)
        # Times are shown only for ways that find the same: a way that predicts wrong masks could be as fast
        # as it likes.
        for peer, name in itertools.product(PUBLISHED, OURS):
            found.require_same(peer, name)
        for name in (*PUBLISHED, *OURS):
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
