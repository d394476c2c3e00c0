"""Run lengths of a slide's mask and of noise: ours beside what competitors write, each in a fresh process.

As a program this file reads a request as JSON and prints what it measured.
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
from kit.errors import KitError
from kit.masks import rle

HEAD = ("mask", "way", "first s", "again s", "x ours", "reads", "extra MB")
"""`first`: in a process that has encoded nothing yet, as on Kaggle; `x ours` compares those of a round.
`reads`: how often the mask's bytes could have been read in that time (`again`), the limit being 1."""

_MASKS = {"slide": (30_000, 600), "noise": (6_000, 120)}
"""Name -> side in pixels, and that of the small form."""
_WAYS = {"slide": ("ours", "bands", "ravel", "pycocotools", "snippet"), "noise": ("ours", "bands", "ravel")}
_TEXTS = ("write", "join", "read", "split")
_RUNS = (1_000_000, 1_000)
_ONCE = "snippet"
"""Takes so long that one round has to do."""
_SNIPPET_BYTES = 10
"""A pixel, that the snippet takes at most."""


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Rows under `HEAD`.

    Args:
        small: masks and texts of a fiftieth of the side.
        rounds: processes for each way, in turns.

    Raises:
        KitError: two ways give different runs.
    """
    for name, ways in _WAYS.items():
        side = _MASKS[name][small]
        left = [way for way in ways if way != _ONCE or side * side * _SNIPPET_BYTES < _free_bytes()]
        yield from _table(f"{name}, {side} x {side}", {"mask": name, "side": side}, left, rounds)
    count = _RUNS[small]
    for mine, other in (_TEXTS[:2], _TEXTS[2:]):
        yield from _table(f"text of {count} runs", {"runs": count}, [mine, other], rounds)


def _table(label: str, request: Mapping[str, Any], ways: list[str], rounds: int) -> Iterator[list[str]]:
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways if number % 2 else ways[::-1]:
            if way != _ONCE or number == 0:
                found[way].append(call("benchmarks.run_lengths", {**request, "way": way}, what=way))
    if len({answer["checksum"] for answers in found.values() for answer in answers}) > 1:
        raise KitError(f"the ways over {label} do not give the same runs")
    for way, answers in found.items():
        first, again = (statistics.median(one[key] for one in answers) for key in ("first", "again"))
        ratio = statistics.median(
            one["first"] / ours["first"] for one, ours in zip(answers, found[ways[0]], strict=False)
        )
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
    """In this process: seconds of the first and of later runs, of reading all once, and extra bytes."""
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
    forget_peak()
    before = peak_bytes()
    began = time.perf_counter()
    result = step(given)
    first = time.perf_counter() - began
    extra = peak_bytes() - before
    again = first if request["way"] == _ONCE else min(_seconds(lambda: step(given)) for _ in range(2))
    words = data[: len(data) // 8 * 8].view(np.uint64)
    read = min(_seconds(lambda: np.bitwise_or.reduce(words)) for _ in range(3))
    checked = result.encode() if isinstance(result, str) else result.tobytes()
    return {"first": first, "again": again, "read": read, "extra": extra, "checksum": zlib.crc32(checked)}


def _seconds(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _mask(name: str, side: int) -> NDArray[np.bool_]:
    """600 ellipses that cover 5 % of a slide, or every second pixel by chance."""
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
    """As the semantic engine does: from top to bottom."""
    encoder = rle.RunLengthEncoder(mask_HW.shape[1])
    for top in range(0, len(mask_HW), 1024):
        encoder.push(mask_HW[top : top + 1024])
    return encoder.finish()


def _ravel(mask_HW: NDArray[np.bool_]) -> rle.Runs:
    """The plain way with numpy: transpose by copying, compare neighbours."""
    flat = mask_HW.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat[0] else [], edges, [flat.size] if flat[-1] else []]).astype(np.int64)
    return np.stack([edges[0::2], edges[1::2] - edges[0::2]], axis=1)


def _snippet(mask_HW: NDArray[np.bool_]) -> NDArray[np.int64]:
    """What nearly every notebook does: transpose, flatten, pad with zeros, compare."""
    pixels = np.concatenate([[0], mask_HW.T.flatten(), [0]])
    edges = np.where(pixels[1:] != pixels[:-1])[0]
    edges[1::2] -= edges[0::2]
    return edges.reshape(-1, 2)


def _pycocotools(mask_HW: NDArray[np.bool_]) -> rle.Runs:
    """Its counts; that they become pairs again costs next to nothing."""
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
