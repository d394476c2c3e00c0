"""Predict a slide end to end: our engine, its network alone, MONAI and mmseg."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import ROOT
from benchmarks.rounds import median_ratio
from benchmarks.slide_data import Windows, train_network, write_slide
from benchmarks.slide_ways import Request, Result, run, run_here
from kit.ensemble import Member
from kit.errors import KitError
from kit.local.console import console
from kit.local.wording import amount
from kit.masks import rle

HEAD = (
    "way",
    "side",
    "windows",
    "wall s",
    "own s",
    "wall / own",
    "net s",
    "wall / net",
    "GB",
    "IoU",
    "x ours",
)
"""`own s`: time in the network within this measurement. `net s`: time of the network alone over the windows
of ours, in a measurement of its own. `GB`: peak memory of the process. `IoU`: of the mask with the mask of
ours."""
SKIPPING = "ours, tissue only"
OURS: dict[str, dict[str, Any]] = {"ours": {}, SKIPPING: {"skip_background": True}}
"""Name -> settings of the engine in addition to the windows."""
BLENDED: dict[str, dict[str, Any]] = {"ours, gaussian": {"blend": "gaussian"}}
PEERS = ("monai-constant", "monai-gaussian", "mmseg")
SMALL = Windows(core=96, context=24)
SIDE, SMALL_SIDE = 30_000, 960
THRESHOLD = 0.55
LEAST_IOU = 0.99
"""Smallest IoU of two masks that count as the same."""

_BYTES_PER_PIXEL = 6
"""Most bytes on the disk per pixel of the slide: 3 for its planes, 2 for a 16-bit map, 1 to spare."""


@dataclass
class Bench:
    """A slide, a network, and the results of the ways that were measured on them.

    Attributes:
        folder: holds the slide, the weights and the masks; `bench` removes it.
        member: the network.
        windows: of every way.
        side: of the slide, in pixels.
        threads: of the network on the CPU.
        apart: measure each way in a new process.
        results: name of a way -> its results, one per round.
    """

    folder: Path
    member: Member
    windows: Windows
    side: int
    threads: int
    apart: bool = True
    results: dict[str, list[Result]] = field(default_factory=dict)

    def run(self, name: str, way: str, views: Sequence[str] = ("identity",), **settings: Any) -> None:
        """Measure a way once more and keep its result.

        Args:
            name: of the result and of the file of the mask.
            way: name in `slide_ways.WAYS`.
            views: as in `Request`.
            settings: of the engine; they replace the member's.
        """
        console().print(f"slide of {self.side}: {name} ...")
        member = replace(self.member, inference={**self.member.inference, **settings})
        request = Request(
            way=way,
            image=str(self.folder / "slide.tiff"),
            weights=str(self.folder / member.weights),
            member=asdict(member),
            windows=asdict(self.windows),
            views=views,
            threshold=THRESHOLD,
            threads=self.threads,
            runs=str(self.folder / f"{name}.npy"),
        )
        self.results.setdefault(name, []).append((run if self.apart else run_here)(request))

    def seconds(self, name: str, part: str = "wall") -> float:
        """Return the median over the rounds of the time of a part of a way."""
        return statistics.median(result.seconds.get(part, 0.0) for result in self.results[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median over the rounds of the wall time of a way, divided by another's."""
        times, others = ([one.seconds["wall"] for one in self.results[key]] for key in (name, other))
        return median_ratio(times, others)

    def seen(self, name: str) -> int:
        """Return the number of windows that the network predicted."""
        return self.results[name][0].windows

    def gigabytes(self, name: str) -> float:
        """Return the largest peak memory of any round, in GB."""
        return max(result.peak_bytes for result in self.results[name]) / 1e9

    def overhead(self, name: str) -> float:
        """Return the median over the rounds of the wall time, divided by the time in the network."""
        walls, networks = ([one.seconds[part] for one in self.results[name]] for part in ("wall", "network"))
        return median_ratio(walls, networks)

    def iou(self, name: str, other: str) -> float:
        """Return the IoU of two masks, without the outermost cores."""
        # Windows of the outermost cores reach beyond the slide. Ours mirrors the slide there, others fill
        # with zeros, so their masks may differ, and neither is wrong. With cores of 96 and a side of 960:
        #
        #     0    96                          864   960
        #     |----|--------- compared ---------|-----|      (960 // 96 - 2) * 96 = 768 pixels
        core = self.windows.core
        length = (self.side // core - 2) * core
        inner = (core, core, length, length)
        runs = [np.load(self.folder / f"{key}.npy") for key in (name, other)]
        one, two = (rle.decode_window(part, self.side, inner) for part in runs)
        union = np.count_nonzero(one | two)
        return float(np.count_nonzero(one & two) / union) if union else 1.0

    def require_same(self, name: str, other: str) -> None:
        """Check that two ways find the same, so that their times can be compared.

        Raises:
            KitError: their masks differ, or are empty.
        """
        found = self.iou(name, other)
        if found < LEAST_IOU or not len(np.load(self.folder / f"{name}.npy")):
            raise KitError(
                f"the masks of {name} and {other} have an IoU of {found:.4f}; "
                f"it must be {LEAST_IOU} at least, and the masks must not be empty"
            )


@contextmanager
def bench(side: int, *, small: bool, threads: int) -> Iterator[Bench]:
    """Make a slide and a network in a folder below `work`, yield their bench, remove the folder.

    Args:
        side: of the slide, in pixels.
        small: use small windows, train the network for a moment, and measure in this process.
        threads: of the network on the CPU.

    Raises:
        KitError: the slide has fewer than three cores per side, or the disk has too little space.
    """
    windows = SMALL if small else Windows()
    if side < 3 * windows.core:
        raise KitError(
            f"a slide of {side} x {side} pixels is too small to compare masks: cores have {windows.core} "
            "pixels, and the outermost ones are not compared",
            fix=f"choose a --size of {3 * windows.core} at least",
        )
    work = ROOT / "work"
    work.mkdir(exist_ok=True)
    needed, free = _BYTES_PER_PIXEL * side**2, shutil.disk_usage(work).free
    if needed > free:
        raise KitError(
            f"a slide of {side} x {side} and its masks need {amount(needed)}, but {amount(free)} are free",
            where=work,
            fix="free space on that disk or choose a smaller --size",
        )
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work) as name:
        folder = Path(name)
        console().print(f"slide of {side}: making it, training the network ...")
        write_slide(folder / "slide.tiff", side)
        steps, crop = (20, 64) if small else (80, 128)
        member = train_network(folder, windows, steps=steps, crop=crop)
        yield Bench(folder, member, windows, side, threads, apart=not small)


def rows(*, small: bool, rounds: int, size: int | None = None, threads: int = 1) -> Iterator[list[str]]:
    """Yield rows under `HEAD`: each way predicts the slide under one view.

    Args:
        small: use a slide of `SMALL_SIDE` pixels.
        rounds: number of rounds; ours and its network alone run in each, the peers in the first one only.
        size: side of the slide, in pixels.
        threads: of the network on the CPU.

    Raises:
        KitError: a way failed, or the masks of ours with and without background differ.
    """
    ours = OURS | BLENDED
    with bench(size or (SMALL_SIDE if small else SIDE), small=small, threads=threads) as found:
        # Order: ours, its network alone, ours for tissue only, its network alone, ... A load that lasts some
        # minutes then meets a way and its network alike, and hardly moves `wall / net`. Peers take minutes
        # each, and their ratios are far from 1, so that one round is enough.
        for number in range(rounds):
            for name, settings in ours.items():
                found.run(name, "ours", **settings)
                found.run(f"{name}, network", "forward", **settings)
            for peer in PEERS if number == 0 else ():
                found.run(peer, peer)
        found.require_same("ours", SKIPPING)
        for name in ours:
            yield _row(found, name, f"{name}, network")
        for peer in PEERS:
            yield _row(found, peer, "ours, network")


def _row(found: Bench, name: str, network: str) -> list[str]:
    return [
        name,
        f"{found.side}",
        f"{found.seen(name)}",
        f"{found.seconds(name):.1f}",
        f"{found.seconds(name, 'network'):.1f}",
        f"{found.overhead(name):.2f}",
        f"{found.seconds(network):.1f}",
        f"{found.ratio(name, network):.2f}",
        f"{found.gigabytes(name):.2f}",
        f"{found.iou(name, 'ours'):.3f}",
        f"{found.ratio(name, 'ours'):.2f}",
    ]
