"""A kidney competition of synthetic slides, tiny networks for it, and predict.py: what a run needs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.manifest import Entry, Manifest
from kit.models import build, save_weights
from submission.render import render

_SLUG, _DATASET = "hubmap-kidney-segmentation", "hubmap-kit-kidney-weights"
_NETWORK = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}
_WINDOWS = {"core": 512, "context": 64, "scale": 0.5, "batch_size": 4}
VIEWS = ("identity", "hflip")


@dataclass(frozen=True)
class Size:
    """How large the work is.

    Attributes:
        members: tiny networks; each predicts under `VIEWS`.
        images: slides.
        side: of a slide, pixels.
    """

    members: int
    images: int
    side: int


def slide_HWC(seed: int, side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a made-up slide: coarse fields of colour with fine noise, which no codec makes much smaller."""
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 230, (side // 16 + 1, side // 16 + 1, 3))
    fields = np.kron(coarse, np.ones((16, 16, 1)))[:side, :side].astype(np.uint8)
    return fields + random.integers(0, 8, fields.shape, dtype=np.uint8)


def write(folder: Path, size: Size) -> Path:
    """Write competition, weights and predict.py; return the script. `folder`/input is the mount.

    Args:
        folder: an empty folder; gets ensemble.json as well.
        size: of the work.
    """
    data = folder / "input" / "competitions" / _SLUG
    (data / "test").mkdir(parents=True)
    names = [f"slide{number}" for number in range(size.images)]
    for number, name in enumerate(names):
        path = data / "test" / f"{name}.tiff"
        tifffile.imwrite(path, slide_HWC(number, size.side), photometric="rgb", compression="lzw")
    (data / "sample_submission.csv").write_text("id,predicted\n" + "".join(f"{name},\n" for name in names))
    (data / "HuBMAP-20-dataset_information.csv").write_text("image_file,width_pixels,height_pixels\n")
    bundle = folder / "bundle" / _DATASET
    bundle.mkdir(parents=True)
    members = [_member(bundle, number) for number in range(size.members)]
    ensembles.save(folder / "ensemble.json", _ensemble(members))
    entries = [
        Entry(file=item.weights, size=item.size, sha256=item.sha256, role="weights") for item in members
    ]
    manifests.save(bundle, Manifest(dataset=_DATASET, files=entries, targets=["cp311", "cp312", "cp313"]))
    shutil.copytree(bundle, folder / "input" / "datasets" / "someone" / _DATASET)
    return render(folder / "ensemble.json", folder / "bundle", folder / "predict.py").script


def _member(folder: Path, number: int) -> Member:
    torch.manual_seed(number)
    module = build(_NETWORK)
    path = folder / f"member{number}.safetensors"
    save_weights(module, path, {"seed": str(number)}, half=True)
    return Member(
        name=f"member{number}",
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=_NETWORK,
        inference=_WINDOWS,
        requires=list(module.spec.requires),
    )


def _ensemble(members: list[Member]) -> Ensemble:
    passes = [
        Pass(member=number, view=view, seconds_per_megapixel=0.1)
        for number in range(len(members))
        for view in VIEWS
    ]
    counts = [1, len(passes)]
    rungs = [
        Rung(passes=list(range(n)), weights=[1.0] * n, settings={"threshold": 0.5}, cv=0.5 + n / 100)
        for n in counts
    ]
    return Ensemble(
        competition="kidney",
        kind="semantic",
        members=members,
        passes=passes,
        rungs=rungs,
        reserve_seconds=3.0,
        slowdown=1.2,
    )
