"""One way over a slide from the file to the submission's row, in a process of its own.

`run(request)` starts the process; as a program this file reads a `Request` as JSON and prints the `Result`.
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
"""Ways whose process gets a number of threads but not our memory: nobody gave it to their users either."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run.

    Attributes:
        way: a name in `WAYS`.
        image: the slide.
        weights: of the member.
        member: `Member` as a dict; its settings hold the windows, and maybe more, for ours.
        windows: `Windows` as a dict.
        views: names; ours runs one pass for each entry, and an entry may be a set of views.
        threshold: probability from which a pixel is foreground.
        threads: of the network.
        runs: where the mask's runs are left, .npy.
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
    """What was found.

    Attributes:
        seconds: of the whole ("wall") and of its parts.
        windows: how many the network saw.
        peak_bytes: most memory of the process.
    """

    seconds: Mapping[str, float]
    windows: int
    peak_bytes: int


def run(request: Request) -> Result:
    """Run in a new process.

    Raises:
        KitError: the process failed.
    """
    return Result(**call("benchmarks.slide_ways", asdict(request), what=f"the slide's way {request.way!r}"))


def run_here(request: Request) -> Result:
    """Run in this process: its peak of memory is whatever the process did before."""
    way, library = WAYS[request.way]
    with quiet():
        importlib.import_module(library)
    job = _Job(request)
    text = way(job)
    peak = peak_bytes()
    if text is not None:
        header = read_header(job.image)
        mask = SemanticMask(
            header.height,
            header.width,
            rle.from_kaggle(text, header.height, header.width, where=request.way),
        )
        np.save(request.runs, mask.runs)
    return Result(seconds=dict(job.clock.seconds), windows=job.seen, peak_bytes=peak)


class _Job:
    """A request with its objects made, and the network's calls counted.

    Attributes:
        clock: of everything that is measured.
        seen: windows that the network saw.
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
        """The module's logits, counted and timed."""
        with self.clock("network"):
            logit_NCHW: Tensor = self.module(x_NCHW)
        self.seen += len(x_NCHW)
        return logit_NCHW


def _ours(job: _Job) -> str:
    """Through the path that Kaggle takes: passes, fusion, row."""
    settings = {"threshold": job.request.threshold}
    competition = competitions.get("kidney")
    watched = _Watched(job)
    with tempfile.TemporaryDirectory(dir=job.image.parent) as folder, job.clock("wall"):
        results = []
        for view in job.request.views:
            with job.clock("passes"):
                file = run_pass(watched, job.member, view, "slide", job.image, Path(folder), device=CPU)
            results.append(PassResult(file=file, weight=1.0, member=job.member))
        header = read_header(job.image)
        with job.clock("fuse"):
            size = (header.height, header.width)
            prediction = fuse(results, settings, size, kind="semantic", image_id="slide")
        with job.clock("rle"):
            return competition.row("slide", prediction)["predicted"]


class _Watched(Network):
    """The job's network for the engine: the same numbers, counted and timed."""

    def __init__(self, job: _Job) -> None:
        super().__init__(job.module.spec, job.module.network, size_divisor=job.module.size_divisor)
        self.eval()
        self._job = [job]  # in a list: no module of this one

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self._job[0].network(x_NCHW)


class _Recorder(Network):
    """Stands where the engine expects the network; keeps what it is given and answers zeros."""

    def __init__(self, job: _Job) -> None:
        super().__init__(job.module.spec, nn.Identity())
        self.batches: list[Tensor] = []

    def forward(self, x_NCHW: Tensor) -> Tensor:
        self.batches.append(x_NCHW.clone())  # keeps the layout in memory
        return torch.zeros(len(x_NCHW), 1, *x_NCHW.shape[-2:])


def _forward(job: _Job) -> None:
    """The network alone, over the very batches that the engine makes of this slide, already in memory."""
    recorder = _Recorder(job)
    with tempfile.TemporaryDirectory(dir=job.image.parent) as folder:
        for view in job.request.views:
            run_pass(recorder, job.member, view, "slide", job.image, Path(folder), device=CPU)
    with torch.inference_mode():
        job.module(recorder.batches[0])  # threads and memory are there from the second time on
        with job.clock("wall"):
            for batch_NCHW in recorder.batches:
                job.network(batch_NCHW)


@torch.inference_mode()
def _published(job: _Job) -> str:
    with job.clock("wall"):
        mask_HW = slide_published.predict(
            job.network,
            job.image,
            job.windows,
            views=job.request.views,
            threshold=job.request.threshold,
            clock=job.clock,
        )
        with job.clock("rle"):
            return slide_published.encode(mask_HW)


@torch.inference_mode()
def _peer(job: _Job, inferer: Callable[[Tensor], Any]) -> str:
    """Everything in memory; run lengths by our encoder, so that the difference is the inferer's."""
    with job.clock("wall"):
        with job.clock("read"):
            x_NCHW = slide_peers.read_whole(job.image, job.windows.scale)
        prob_HW = inferer(x_NCHW)
        del x_NCHW
        mask_HW = slide_peers.full_size_mask(prob_HW, read_header(job.image).width, job.request.threshold)
        with job.clock("rle"):
            return rle.to_kaggle(rle.encode(mask_HW))


def _monai_constant(job: _Job) -> str:
    return _peer(job, lambda x_NCHW: slide_peers.monai(job.network, x_NCHW, job.windows, "constant"))


def _monai_gaussian(job: _Job) -> str:
    return _peer(job, lambda x_NCHW: slide_peers.monai(job.network, x_NCHW, job.windows, "gaussian"))


def _mmseg(job: _Job) -> str:
    return _peer(job, lambda x_NCHW: slide_peers.mmseg(job.network, x_NCHW, job.windows))


WAYS: Mapping[str, tuple[Callable[[_Job], str | None], str]] = {
    "ours": (_ours, "kit.inference.runner"),
    "forward": (_forward, "kit.inference.runner"),
    "published": (_published, "rasterio"),
    "monai-constant": (_monai_constant, "monai.inferers.utils"),
    "monai-gaussian": (_monai_gaussian, "monai.inferers.utils"),
    "mmseg": (_mmseg, "mmseg.models.segmentors"),
}
"""Name -> what it runs, and the library of it that is imported before any clock starts."""


if __name__ == "__main__":
    print(json.dumps(asdict(run_here(Request(**json.load(sys.stdin))))))
