"""The smallest competition, ensemble and script for many runs: three tiny networks, three tiny slides."""

import json
from dataclasses import dataclass
from pathlib import Path

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

SLUG = "hubmap-kidney-segmentation"
NETWORK = {
    "network": "segformer-b0",
    "embed_dims": 16,
    "depths": [1, 1, 1, 1],
    "channels": 32,
    "norm_groups": 8,
}
SIZES = {"aaa": (200, 280), "bbb": (150, 170), "ccc": (120, 120)}
WEIGHTS = "hubmap-kit-kidney-weights"
MEMBERS = 3


@dataclass(frozen=True)
class Tiny:
    """What a run needs: data, bundle and script."""

    data: Path
    bundle: Path
    script: Path
    ensemble: Ensemble


def make(folder: Path) -> Tiny:
    """Write data, weights and script into an empty folder, or return what it has."""
    tiny = folder / SLUG, folder / "bundle", folder / "predict.py"
    if not (folder / "made").exists():
        _write_data(tiny[0])
        weights = tiny[1] / WEIGHTS
        weights.mkdir(parents=True)
        members = [_member(weights, index) for index in range(MEMBERS)]
        entries = [
            Entry(file=path.name, size=path.stat().st_size, sha256=sha256_file(path), role="weights")
            for path in sorted(weights.glob("*.safetensors"))
        ]
        manifests.save(weights, Manifest(dataset=WEIGHTS, files=entries, targets=["cp311", "cp312", "cp313"]))
        ensemble = Ensemble(
            competition="kidney",
            kind="semantic",
            members=members,
            passes=[
                Pass(member=index, view="identity", seconds_per_megapixel=1.0) for index in range(MEMBERS)
            ],
            rungs=[
                Rung(
                    passes=list(range(count)),
                    weights=[1.0] * count,
                    settings={"threshold": 0.5},
                    cv=0.5 + count / 100,
                )
                for count in range(1, MEMBERS + 1)
            ],
            reserve_seconds=3.0,
            slowdown=1.2,
        )
        ensembles.save(folder / "ensemble.json", ensemble)
        render(folder / "ensemble.json", tiny[1], tiny[2])
        (folder / "made").touch()
    return Tiny(*tiny, ensembles.load(folder / "ensemble.json"))


def _member(weights: Path, index: int) -> Member:
    torch.manual_seed(index)
    path = weights / f"member{index}.safetensors"
    module = build(NETWORK)
    save_weights(module, path, {"seed": str(index)}, half=True)
    return Member(
        name=f"member{index}",
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=NETWORK,
        inference={"core": 96, "context": 16, "scale": 0.5, "batch_size": 4},
        requires=list(module.spec.requires),
    )


def _write_data(folder: Path) -> None:
    (folder / "test").mkdir(parents=True)
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        random = np.random.default_rng(seed)
        coarse = random.integers(90, 230, (height // 16 + 1, width // 16 + 1, 3))
        slide_HWC = np.kron(coarse, np.ones((16, 16, 1)))[:height, :width].astype(np.uint8)
        tifffile.imwrite(folder / "test" / f"{name}.tiff", slide_HWC, photometric="rgb")
    (folder / "sample_submission.csv").write_text("id,predicted\n" + "".join(f"{name},\n" for name in SIZES))
    rows = "".join(f"{name}.tiff,{width},{height}\n" for name, (height, width) in SIZES.items())
    (folder / "HuBMAP-20-dataset_information.csv").write_text(
        "image_file,width_pixels,height_pixels\n" + rows
    )


def report_of(out: Path) -> dict | None:
    """The report of a run, None if there is none."""
    path = out / "report.json"
    return json.loads(path.read_text()) if path.is_file() else None
