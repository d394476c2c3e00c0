"""The work of a run without its supervisor, in a process of its own: JSON on standard input, seconds as JSON.

The same passes over the same images with the same code as a worker of predict.py, one after the other, then
the rows of all rungs. Or, with `megabytes_per_s`, slides read from top to bottom on a mount of slow streams.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks import set_up_step
from kit import ensemble as ensembles
from kit.artefacts import write_json
from kit.competitions import of
from kit.ensemble import Ensemble
from kit.images.slide import open_slide
from kit.inference import runner
from kit.inference.fusion import PassResult, fuse

_BAND = 256


def predict(ensemble: Ensemble, weights: Path, images: list[Path], out: Path) -> float:
    """Do all passes and make all rows; return the seconds without loading the members.

    Args:
        ensemble: what to do.
        weights: folder of the weights.
        images: the slides.
        out: an empty folder for results.
    """
    device = torch.device("cpu")
    runner.configure(device)
    began, loading, loaded, module = time.monotonic(), 0.0, -1, None
    for item in ensemble.passes:
        member = ensemble.members[item.member]
        if item.member != loaded:
            before = time.monotonic()
            module, loaded = runner.open_member(member, weights / member.weights, device), item.member
            loading += time.monotonic() - before
        assert module is not None
        for image in images:
            runner.run_pass(module, member, item.view, image.stem, image, out, device=device)
    for number in range(len(ensemble.rungs)):
        for image in images:
            _write_row(ensemble, number, image, out)
    return time.monotonic() - began - loading


def _write_row(ensemble: Ensemble, number: int, image: Path, out: Path) -> None:
    rung, passes = ensemble.rungs[number], ensemble.passes
    results = [
        PassResult(
            file=runner.result_file(
                out, ensemble.members[passes[index].member], passes[index].view, image.stem
            ),
            weight=rung.weight(index),
            member=ensemble.members[passes[index].member],
        )
        for index in rung.passes
    ]
    with open_slide(image) as slide:
        size = slide.height, slide.width
    found = fuse(results, rung.settings, size, kind=ensemble.kind, image_id=image.stem, info=None)
    write_json(
        out / "rows" / str(number) / f"{image.stem}.json", of(ensemble).rows(image.stem, found.prediction)
    )


def read(slide: Path) -> float:
    """Read a slide in bands from top to bottom; return the seconds."""
    began = time.perf_counter()
    with open_slide(slide) as opened:
        for top in range(0, opened.height, _BAND):
            opened.read_band(top, min(top + _BAND, opened.height))
    return time.perf_counter() - began


def main(request: Mapping[str, Any]) -> dict[str, float]:
    """Do what a request asks for; return seconds by name."""
    if "megabytes_per_s" in request:
        set_up_step.throttle(request["megabytes_per_s"])
        folder = Path(request["folder"])
        (slide,) = folder.iterdir()
        before = time.process_time()
        seconds = read(slide)
        cpu = time.process_time() - before
        few = set_up_step.read(folder, request["few"])
        return {
            "slide": seconds,
            "cpu": cpu,
            "few": few,
            "streams": set_up_step.read(folder, request["streams"]),
        }
    folder = Path(request["folder"])
    ensemble = ensembles.load(folder / "ensemble.json")
    (weights,) = (folder / "bundle").iterdir()
    images = sorted((folder / "input").rglob("test/*.tiff"))[request["first"] :: request["step"]]
    return {"plain": predict(ensemble, weights, images, Path(request["out"]))}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
