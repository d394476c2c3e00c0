"""A submission to run in minutes on a CPU: random networks, their bundle, predict.py, and made-up slides."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch

from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.competitions import get
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.manifest import Entry, Manifest
from kit.models import build, save_weights
from submission.render import render

_NETWORK = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}
_COMPETITION, _DATASET = "kidney", "hubmap-kit-kidney-weights"
_MEMBERS, _VIEWS = 2, ("identity", "hflip", "vflip")
_CELL = 16
"""Pixels of one colour in a row."""


@dataclass(frozen=True)
class TinySubmission:
    """What lies on the disk.

    Attributes:
        script: predict.py.
        datasets: folder with the dataset of weights.
    """

    script: Path
    datasets: Path

    def mount(self, root: Path, images: Mapping[str, tuple[int, int]]) -> Path:
        """Lay out a new folder like /kaggle/input.

        Args:
            root: the folder.
            images: id -> (height, width) of the slides of the test part.
        """
        slug = get(_COMPETITION).slug
        data = root / "competitions" / slug
        (data / "test").mkdir(parents=True)
        for seed, (name, (height, width)) in enumerate(images.items()):
            slide_HWC = _slide_HWC(seed, height, width)
            tifffile.imwrite(data / "test" / f"{name}.tiff", slide_HWC, photometric="rgb")
        rows = "".join(f"{name},\n" for name in images)
        (data / "sample_submission.csv").write_text("id,predicted\n" + rows)
        table = "image_file,width_pixels,height_pixels\n"
        (data / "HuBMAP-20-dataset_information.csv").write_text(table)
        shutil.copytree(self.datasets, root / "datasets" / "someone" / _DATASET)
        return root


def write(folder: Path) -> TinySubmission:
    """Write two members under three views each, a rung after every pass, their bundle and predict.py."""
    weights = folder / "bundle" / _DATASET
    weights.mkdir(parents=True)
    members = [_member(number, weights / f"member{number}.safetensors") for number in range(_MEMBERS)]
    passes = [
        Pass(member=number, view=view, seconds_per_megapixel=1.0)
        for number in range(_MEMBERS)
        for view in _VIEWS
    ]
    rungs = [
        Rung(
            passes=list(range(count)),
            weights=[1.0] * count,
            settings={"threshold": 0.5},
            cv=0.5 + count / 100,
        )
        for count in range(1, len(passes) + 1)
    ]
    ensemble = Ensemble(
        competition=_COMPETITION,
        kind="semantic",
        members=members,
        passes=passes,
        rungs=rungs,
        reserve_seconds=10.0,
    )
    ensembles.save(folder / "ensemble.json", ensemble)
    entries = [
        Entry(file=path.name, size=path.stat().st_size, sha256=sha256_file(path), role="weights")
        for path in sorted(weights.glob("*.safetensors"))
    ]
    manifests.save(weights, Manifest(dataset=_DATASET, files=entries, targets=["cp311", "cp312", "cp313"]))
    script = folder / "predict.py"
    render(folder / "ensemble.json", folder / "bundle", script)
    return TinySubmission(script, weights)


def _member(number: int, path: Path) -> Member:
    torch.manual_seed(number)
    module = build(_NETWORK)
    save_weights(module, path, {"seed": str(number)}, half=True)
    return Member(
        name=f"member{number}",
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=_NETWORK,
        inference={"core": 192, "context": 32, "scale": 1.0, "batch_size": 2},
        requires=list(module.spec.requires),
    )


def _slide_HWC(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 230, (height // _CELL + 1, width // _CELL + 1, 3))
    return np.kron(coarse, np.ones((_CELL, _CELL, 1)))[:height, :width].astype(np.uint8)
