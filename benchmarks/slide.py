"""A slide end to end: ours beside the network alone, MONAI's sliding window and mmseg's slide mode."""

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
from benchmarks.slide_data import Windows, train_network, write_slide
from benchmarks.slide_ways import Request, Result, run, run_here
from kit.ensemble import Member
from kit.errors import KitError
from kit.local.console import console
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
"""`own`: in the network within this run; `net`: the network alone over ours' windows, in a run of its own;
GB: most memory of the process; IoU: with ours."""
SKIPPING = "ours, tissue only"
OURS: dict[str, dict[str, Any]] = {"ours": {}, SKIPPING: {"skip_background": True}}
"""Name -> settings besides the windows."""
BLENDED: dict[str, dict[str, Any]] = {"ours, gaussian": {"blend": "gaussian"}}
PEERS = ("monai-constant", "monai-gaussian", "mmseg")
SMALL = Windows(core=96, context=24)
SIDE, SMALL_SIDE = 30_000, 960
THRESHOLD = 0.55
LEAST_IOU = 0.99
"""Of masks that two ways have to agree on."""

_MAPS = 6
"""Bytes a pixel of the slide kept on the disk at the most: its planes, a 16-bit map, and room to move."""


@dataclass
class Bench:
    """A slide, a network and the ways that were run over it.

    Attributes:
        folder: of the slide, the weights and what the ways leave; goes away with the bench.
        member: the network.
        windows: of every way.
        side: of the slide.
        threads: of the network.
        apart: each way runs in a process of its own.
        results: name given to a run -> its results, one a round.
    """

    folder: Path
    member: Member
    windows: Windows
    side: int
    threads: int
    apart: bool = True
    results: dict[str, list[Result]] = field(default_factory=dict)

    def run(self, name: str, way: str, views: Sequence[str] = ("identity",), **settings: Any) -> None:
        """Run a way once more and keep its result under a name.

        Args:
            name: of the result, and of the mask that is left.
            way: in `slide_ways.WAYS`.
            views: as `Request` has them.
            settings: other than the member's.
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
        """Median over the rounds."""
        return statistics.median(result.seconds.get(part, 0.0) for result in self.results[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as long as another, median over the rounds that both were in."""
        pairs = zip(self.results[name], self.results[other], strict=False)
        return statistics.median(one.seconds["wall"] / two.seconds["wall"] for one, two in pairs)

    def seen(self, name: str) -> int:
        """How many the network saw."""
        return self.results[name][0].windows

    def gigabytes(self, name: str) -> float:
        """Most memory of any round."""
        return max(result.peak_bytes for result in self.results[name]) / 1e9

    def overhead(self, name: str) -> float:
        """How many times as long as its own time in the network, median over rounds."""
        return statistics.median(one.seconds["wall"] / one.seconds["network"] for one in self.results[name])

    def iou(self, name: str, other: str) -> float:
        """Of two masks where no window reaches beyond the slide: ours is mirrored there, others' are not."""
        core = self.windows.core
        length = (self.side // core - 2) * core
        inner = (core, core, length, length)
        runs = [np.load(self.folder / f"{key}.npy") for key in (name, other)]
        one, two = (rle.decode_window(part, self.side, inner) for part in runs)
        union = np.count_nonzero(one | two)
        return float(np.count_nonzero(one & two) / union) if union else 1.0

    def require_same(self, name: str, other: str) -> None:
        """Refuse to compare the times of two ways that find different things.

        Raises:
            KitError: their masks differ, or neither holds anything.
        """
        found = self.iou(name, other)
        if found < LEAST_IOU or not len(np.load(self.folder / f"{name}.npy")):
            raise KitError(f"{name} and {other} agree to an IoU of {found:.4f} only, or find nothing")


@contextmanager
def bench(side: int, *, small: bool, threads: int) -> Iterator[Bench]:
    """A bench with its slide and its network, in a folder below `work` that goes away again.

    Args:
        side: of the slide.
        small: small windows, a network trained for a moment, and everything in this process.
        threads: of the network.

    Raises:
        KitError: too little room on the disk.
    """
    work = ROOT / "work"
    work.mkdir(exist_ok=True)
    needed, free = _MAPS * side**2, shutil.disk_usage(work).free
    if needed > free:
        raise KitError(
            f"a slide of {side} x {side} and what is made of it take {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free",
            where=work,
            fix="free space on that disk or choose a smaller --size",
        )
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work) as name:
        folder = Path(name)
        console().print(f"slide of {side}: making it, training the network ...")
        write_slide(folder / "slide.tiff", side)
        windows = SMALL if small else Windows()
        steps, crop = (20, 64) if small else (80, 128)
        member = train_network(folder, windows, steps=steps, crop=crop)
        yield Bench(folder, member, windows, side, threads, apart=not small)


def rows(*, small: bool, rounds: int, size: int | None = None, threads: int = 1) -> Iterator[list[str]]:
    """Rows under `HEAD`: one view.

    Args:
        small: a slide of some hundred pixels.
        rounds: of ours and its network, in turns, so that load of the machine meets both; the peers, which
            take several times as long, are in the first round only.
        size: side of the slide.
        threads: of the network.

    Raises:
        KitError: a way failed, or masks that should agree do not.
    """
    ours = OURS | BLENDED
    with bench(size or (SMALL_SIDE if small else SIDE), small=small, threads=threads) as found:
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
