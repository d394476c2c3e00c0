"""Predict a slide in one way, from the file to the row of the submission, in a new process.

`run(request)` starts the process. It runs this file as a program, which reads a `Request` as JSON from stdin
and prints the `Result` as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import slide_peers, slide_published
from benchmarks.child import call, peak_bytes
from benchmarks.clock import Clock
from benchmarks.slide_data import Windows
from kit import competitions
from kit.ensemble import Member
from kit.images.header import read_header
from kit.inference.runner import PassResult, configure, fuse, open_member, run_pass
from kit.masks import rle
from kit.models import Network
from kit.models.openmmlab import quiet
from kit.predictions import SemanticMask

CPU = torch.device("cpu")
AS_IT_IS = frozenset({"published"})
"""Ways that run without `configure`: it keeps freed memory for later, which the published code did not do."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A measurement of one way over a slide.

    Attributes:
        way: name in `WAYS`.
        image: path of the slide.
        weights: path of the member's weights.
        member: fields of `Member`; its settings hold the windows for ours, and may hold more.
        windows: fields of `Windows`.
        views: names of views; ours runs one pass per entry, and an entry may join views ("identity+hflip").
        threshold: probability above which a pixel is foreground.
        threads: of the network on the CPU.
        runs: path of the .npy file for the run lengths of the mask.
    """

    way: str
    image: str
    weights: str
    member: Mapping[str, Any]
    windows: Mapping[str, Any]
    views: Sequence[str]
    threshold: float
    threads: int
    runs: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """Times, windows and memory of one way over a slide.

    Attributes:
        seconds: "wall" -> wall time; name of a part -> its time.
        windows: number of windows that the network predicted.
        peak_bytes: peak memory of the process.
    """

    seconds: Mapping[str, float]
    windows: int
    peak_bytes: int


def run(request: Request) -> Result:
    """Measure in a new process.

    Raises:
        KitError: the process failed.
    """
    return Result(
        **call("benchmarks.slide_ways", asdict(request), what=f"the way {request.way!r} over the slide")
    )


def run_here(request: Request) -> Result:
    """Measure in this process; its peak memory includes what the process did before."""
    way, library = WAYS[request.way]
    with quiet():
        importlib.import_module(library)
    setup = _Setup(request)
    text = way(setup)
    # The peak is read here: checking the text below needs memory that is not part of the way.
    peak = peak_bytes()
    if text is not None:
        header = read_header(setup.image)
        mask = SemanticMask(
            header.height,
            header.width,
            rle.from_kaggle(text, header.height, header.width, where=request.way),
        )
        np.save(request.runs, mask.runs)
    return Result(seconds=dict(setup.clock.seconds), windows=setup.seen, peak_bytes=peak)


class _Setup:
    """The objects of a request; it counts and times the calls of the network.

    Attributes:
        clock: counts everything that is measured.
        seen: number of windows that the network predicted.
    """

    def __init__(self, request: Request) -> None:
        if request.way not in AS_IT_IS:
            configure(CPU)
        torch.set_num_threads(request.threads)
        self.request = request
        self.image = Path(request.image)
        self.member = Member(**request.member)
        self.windows = Windows(**request.windows)
        self.module: Network = open_member(self.member, Path(request.weights), CPU)
        self.clock = Clock()
        self.seen = 0

    def network(self, x_NCHW: Tensor) -> Tensor:
        """Return the logits of the module; the call is counted and timed."""
        with self.clock("network"):
            logit_NCHW: Tensor = self.module(x_NCHW)
        self.seen += len(x_NCHW)
        return logit_NCHW


def _ours(setup: _Setup) -> str:
    """Predict as predict.py does on Kaggle: passes, fusion, row of the submission."""
    settings = {"threshold": setup.request.threshold}
    competition = competitions.get("kidney")
    watched = _Watched(setup)
    with tempfile.TemporaryDirectory(dir=setup.image.parent) as folder, setup.clock("wall"):
        results = []
        for view in setup.request.views:
            with setup.clock("passes"):
                file = run_pass(watched, setup.member, view, "slide", setup.image, Path(folder), device=CPU)
            results.append(PassResult(file=file, weight=1.0, member=setup.member))
        header = read_header(setup.image)
        with setup.clock("fuse"):
            size = (header.height, header.width)
            prediction = fuse(results, settings, size, kind="semantic", image_id="slide").prediction
        with setup.clock("rle"):
            return competition.rows("slide", prediction)[0]["predicted"]


class _Watched(Network):
    """Give the engine the network of a setup, so that its calls are counted and timed."""

    def __init__(self, setup: _Setup) -> None:
        super().__init__(setup.module.spec, setup.module.network, size_divisor=setup.module.size_divisor)
        self.eval()
        # In a list: `nn.Module` would register a module that is reachable through an attribute as its own
        # part.
        self._setup = [setup]

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self._setup[0].network(x_NCHW)


class _Recorder(Network):
    """Give the engine a network that keeps its inputs and returns zeros."""

    def __init__(self, setup: _Setup) -> None:
        super().__init__(setup.module.spec, nn.Identity())
        self.batches: list[Tensor] = []

    def forward(self, x_NCHW: Tensor) -> Tensor:
        self.batches.append(x_NCHW.clone())  # the engine may use the memory again; a clone keeps the layout
        return torch.zeros(len(x_NCHW), 1, *x_NCHW.shape[-2:])


def _forward(setup: _Setup) -> None:
    """Run the network alone over the batches that the engine makes of this slide."""
    # First the engine cuts the slide with a network that costs nothing, and all batches stay in memory. Then
    # only the real network runs over them: no reading, no resizing, no pasting. No way over the slide can be
    # quicker on this machine.
    recorder = _Recorder(setup)
    with tempfile.TemporaryDirectory(dir=setup.image.parent) as folder:
        for view in setup.request.views:
            run_pass(recorder, setup.member, view, "slide", setup.image, Path(folder), device=CPU)
    with torch.inference_mode():
        setup.module(recorder.batches[0])  # warm up: the first call starts threads and gets memory
        with setup.clock("wall"):
            for batch_NCHW in recorder.batches:
                setup.network(batch_NCHW)


@torch.inference_mode()
def _published(setup: _Setup) -> str:
    with setup.clock("wall"):
        mask_HW = slide_published.predict(
            setup.network,
            setup.image,
            setup.windows,
            views=setup.request.views,
            threshold=setup.request.threshold,
            clock=setup.clock,
        )
        with setup.clock("rle"):
            return slide_published.encode(mask_HW)


@torch.inference_mode()
def _peer(setup: _Setup, inferer: Callable[[Tensor], Any]) -> str:
    """Predict a slide in memory with a peer's inferer: x_NCHW to probabilities (h, w)."""
    # Reading and run lengths are the quickest we know: the peers have none of their own, and what remains in
    # the comparison is the time and memory of their inferers.
    with setup.clock("wall"):
        with setup.clock("read"):
            x_NCHW = slide_peers.read_slide(setup.image, setup.windows.scale)
        prob_HW = inferer(x_NCHW)
        del x_NCHW
        mask_HW = slide_peers.full_size_mask(prob_HW, read_header(setup.image).width, setup.request.threshold)
        with setup.clock("rle"):
            return rle.to_kaggle(rle.encode(mask_HW))


def _monai_constant(setup: _Setup) -> str:
    return _peer(setup, lambda x_NCHW: slide_peers.monai(setup.network, x_NCHW, setup.windows, "constant"))


def _monai_gaussian(setup: _Setup) -> str:
    return _peer(setup, lambda x_NCHW: slide_peers.monai(setup.network, x_NCHW, setup.windows, "gaussian"))


def _mmseg(setup: _Setup) -> str:
    return _peer(setup, lambda x_NCHW: slide_peers.mmseg(setup.network, x_NCHW, setup.windows))


WAYS: Mapping[str, tuple[Callable[[_Setup], str | None], str]] = {
    "ours": (_ours, "kit.inference.runner"),
    "forward": (_forward, "kit.inference.runner"),
    "published": (_published, "rasterio"),
    "published, configured": (_published, "rasterio"),
    "monai-constant": (_monai_constant, "monai.inferers.utils"),
    "monai-gaussian": (_monai_gaussian, "monai.inferers.utils"),
    "mmseg": (_mmseg, "mmseg.models.segmentors"),
}
"""Name -> function that predicts the slide, and its library, which is imported before a clock starts."""


if __name__ == "__main__":
    print(json.dumps(asdict(run_here(Request(**json.load(sys.stdin))))))
