"""Compare our run lengths with the code that competitors write, each way in a new process.

As a program, this file reads a request as JSON from stdin and prints what it measured as JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.child import call, forget_peak, peak_bytes
from benchmarks.rounds import median_ratio
from kit.errors import KitError
from kit.masks import rle

HEAD = ("mask", "way", "first s", "again s", "x ours", "reads", "extra MB")
"""`first s`: time in a process that has encoded nothing before, as on Kaggle; `x ours` compares the first
times. `again s`: time of a later run. `reads`: `again s` divided by the time to read each byte of the mask
once, so the limit is 1. `extra MB`: peak memory above the memory that the mask takes."""

_MASKS = {"slide": (30_000, 600), "noise": (6_000, 120)}
"""Name -> side of the mask in pixels, in full and small form."""
_WAYS = {"slide": ("ours", "bands", "ravel", "pycocotools", "snippet"), "noise": ("ours", "bands", "ravel")}
_TEXTS = ("write", "join", "read", "split")
_RUNS = (1_000_000, 1_000)
_ONCE = "snippet"
"""The way that takes so long that it runs in the first round only."""
# np.concatenate makes int64 of the mask and the zeros (8 bytes per pixel) while the transposed copy (1 byte)
# and the mask (1 byte) exist: 9 GB for a slide. The way is left out where that much memory is not free.
_SNIPPET_BYTES = 10
"""Peak memory of the snippet per pixel, in bytes."""


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`.

    Args:
        small: use masks of a fiftieth of the side, and texts of 1000 runs.
        rounds: number of rounds; each way runs in one new process per round.

    Raises:
        KitError: two ways give different runs, so their times would mean nothing.
    """
    for name, ways in _WAYS.items():
        side = _MASKS[name][small]  # `small` is the index: False is 0, the full form, True is 1
        left = [way for way in ways if way != _ONCE or side * side * _SNIPPET_BYTES < _free_bytes()]
        yield from _table(f"{name}, {side} x {side}", {"mask": name, "side": side}, left, rounds)
    count = _RUNS[small]
    for mine, other in (_TEXTS[:2], _TEXTS[2:]):
        yield from _table(f"text of {count} runs", {"runs": count}, [mine, other], rounds)


def _table(label: str, request: Mapping[str, Any], ways: list[str], rounds: int) -> Iterator[list[str]]:
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    # Every way is a process of its own: "first" includes late imports and page faults of new
    # memory, which a second run in the same process would not show. On Kaggle one process encodes once.
    for number in range(rounds):
        for way in ways if number % 2 else ways[::-1]:
            if way != _ONCE or number == 0:
                found[way].append(call("benchmarks.run_lengths", {**request, "way": way}, what=way))
    if len({answer["checksum"] for answers in found.values() for answer in answers}) > 1:
        raise KitError(f"{label}: the ways give different runs, so their times are not comparable")
    for way, answers in found.items():
        first, again = (statistics.median(one[key] for one in answers) for key in ("first", "again"))
        ratio = median_ratio([one["first"] for one in answers], [one["first"] for one in found[ways[0]]])
        reads = statistics.median(one["again"] / one["read"] for one in answers)
        extra = max(one["extra"] for one in answers)
        yield [
            label,
            way,
            f"{first:.3f}",
            f"{again:.3f}",
            f"{ratio:.2f}",
            f"{reads:.1f}",
            f"{extra / 1e6:.0f}",
        ]


def _measured(request: Mapping[str, Any]) -> dict[str, float]:
    """Return seconds of the first run, of a later run and of reading the data once, and extra bytes."""
    if "runs" in request:
        made = _runs(request["runs"])
        text = _join(made)
        given: Any = text if request["way"] in _TEXTS[2:] else made
        data = np.frombuffer(text.encode(), np.uint8)
        step = _TEXT_STEPS[request["way"]]
    else:
        given = _mask(request["mask"], request["side"])
        data = given.reshape(-1).view(np.uint8)
        step = _STEPS[request["way"]]
    # The peak so far is that of making the mask. It is forgotten, so that the difference below is what
    # encoding needs beyond the mask itself. Example: mask 900 MB, peak while encoding 906 MB -> 6 MB extra.
    forget_peak()
    before = peak_bytes()
    began = time.perf_counter()
    result = step(given)
    first = time.perf_counter() - began
    extra = peak_bytes() - before
    again = first if request["way"] == _ONCE else min(_seconds(lambda: step(given)) for _ in range(2))
    # A bitwise "or" over words of 8 bytes reads each byte once and hardly computes: no way can be quicker
    # than this.
    words = data[: len(data) // 8 * 8].view(np.uint64)
    read = min(_seconds(lambda: np.bitwise_or.reduce(words)) for _ in range(3))
    checked = result.encode() if isinstance(result, str) else result.tobytes()
    return {"first": first, "again": again, "read": read, "extra": extra, "checksum": zlib.crc32(checked)}


def _seconds(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _mask(name: str, side: int) -> NDArray[np.bool_]:
    """Return a mask: "slide" is 600 ellipses, "noise" sets each pixel with a probability of a half."""
    # The mean half axis is 0.0051 of the side: 600 * pi * 0.0051 ** 2 = 4.9 % of the slide is foreground.
    rng = np.random.default_rng(0)
    if name == "noise":
        return rng.integers(0, 2, (side, side), np.uint8).view(bool)
    mask_HW = np.full((side, side), fill_value=False)
    for a, b in np.maximum(rng.uniform(0.5, 1.5, (600, 2)) * side * 0.0051, 1).astype(int).tolist():
        y, x = int(rng.integers(a, side - a)), int(rng.integers(b, side - b))
        rows, columns = np.ogrid[-a : a + 1, -b : b + 1]
        mask_HW[y - a : y + a + 1, x - b : x + b + 1] |= (rows / a) ** 2 + (columns / b) ** 2 <= 1
    return mask_HW


def _runs(count: int) -> rle.Runs:
    rng = np.random.default_rng(0)
    edges = np.cumsum(rng.integers(1, 400, 2 * count))
    runs: rle.Runs = np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1)
    return runs


def _bands(mask_HW: NDArray[np.bool_]) -> rle.Runs:
    """Encode in bands from top to bottom, as the semantic engine does."""
    encoder = rle.RunLengthEncoder(mask_HW.shape[1])
    for top in range(0, len(mask_HW), 1024):
        encoder.push(mask_HW[top : top + 1024])
    return encoder.finish()


def _ravel(mask_HW: NDArray[np.bool_]) -> rle.Runs:
    """Encode in the plain way with numpy: copy column by column, then compare neighbours."""
    # Pixels  0 1 1 1 0 0 1  differ from their left neighbours at 1, 4 and 6; the last run ends at the end, 7.
    # Edges 1 4 6 7 are starts and ends in turns: runs (1, 3) and (6, 1).
    flat = mask_HW.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat[0] else [], edges, [flat.size] if flat[-1] else []]).astype(np.int64)
    return np.stack([edges[0::2], edges[1::2] - edges[0::2]], axis=1)


def _snippet(mask_HW: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Encode as nearly every notebook does: transpose, flatten, pad with zeros, compare."""
    pixels = np.concatenate([[0], mask_HW.T.flatten(), [0]])
    edges = np.where(pixels[1:] != pixels[:-1])[0]
    edges[1::2] -= edges[0::2]
    return edges.reshape(-1, 2)


def _pycocotools(mask_HW: NDArray[np.bool_]) -> rle.Runs:
    """Encode with pycocotools, then make pairs of start and length, which takes hardly any time."""
    from pycocotools import mask as coco_mask

    from kit.masks import coco

    counts = coco_mask.encode(np.asfortranarray(mask_HW.view(np.uint8)))["counts"]
    return coco.runs_of(counts, *mask_HW.shape)


def _join(runs: rle.Runs) -> str:
    return " ".join(f"{start + 1} {length}" for start, length in runs.tolist())


def _split(text: str) -> NDArray[np.int64]:
    numbers = [int(word) for word in text.split()]
    runs: rle.Runs = np.array(numbers).reshape(-1, 2) - np.array([1, 0])
    return runs


_STEPS: dict[str, Callable[[Any], Any]] = {
    "ours": rle.encode,
    "bands": _bands,
    "ravel": _ravel,
    "pycocotools": _pycocotools,
    "snippet": _snippet,
}
_TEXT_STEPS: dict[str, Callable[[Any], Any]] = {
    "write": rle.to_kaggle,
    "join": _join,
    "read": lambda text: rle.from_kaggle(text, 1 << 20, 1 << 20, where="text"),
    "split": _split,
}


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


if __name__ == "__main__":
    print(json.dumps(_measured(json.load(sys.stdin))))
