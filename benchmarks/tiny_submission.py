"""A submission that runs in seconds or minutes on a CPU: random networks, bundle, script, made-up tissue."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.competitions import get
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.manifest import Entry, Manifest
from kit.models import build, save_weights
from submission.render import render

UNET: Mapping[str, Any] = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}
"""A network like the published ones, whose libraries take seconds to import."""
SEGFORMER: Mapping[str, Any] = {
    "network": "segformer-b0",
    "embed_dims": 16,
    "depths": [1, 1, 1, 1],
    "channels": 32,
    "norm_groups": 8,
}
"""A network that needs torch alone."""
Sizes = Mapping[str, tuple[int, int]]
"""Id of a slide -> (height, width)."""
SlideWriter = Callable[[Path, int, tuple[int, int]], None]
COMPETITION, DATASET = "kidney", "hubmap-kit-kidney-weights"
SLUG = get(COMPETITION).slug
_CELL = 16
"""Pixels of one colour in a row."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the ensemble is like.

    Attributes:
        members: their number.
        views: under which each member predicts.
        rungs: number of passes of each rung, ascending; the last has all.
        network: of every member; their weights differ.
        inference: settings of the engine.
        seconds_per_megapixel: that passes are said to take.
        reserve_seconds: of the ensemble.
        slowdown: of the ensemble.
    """

    members: int
    views: Sequence[str]
    rungs: Sequence[int]
    network: Mapping[str, Any]
    inference: Mapping[str, Any]
    seconds_per_megapixel: float = 1.0
    reserve_seconds: float = 3.0
    slowdown: float = 1.2


@dataclass(frozen=True)
class TinySubmission:
    """What lies in a folder.

    Attributes:
        folder: holds ensemble.json, bundle/ and predict.py.
    """

    folder: Path

    @property
    def script(self) -> Path:
        """predict.py."""
        return self.folder / "predict.py"

    @property
    def bundle(self) -> Path:
        """Folder with the folder of the dataset."""
        return self.folder / "bundle"

    @property
    def ensemble(self) -> Ensemble:
        """What the script is rendered from."""
        return ensembles.load(self.folder / "ensemble.json")

    def mount(
        self, root: Path, images: Sizes, *, train: Sizes | None = None, write_slide: SlideWriter | None = None
    ) -> Path:
        """Lay out a new folder like /kaggle/input; arguments as those of `write_competition`.

        Args:
            root: the folder.
            images: of the test part.
            train: of the training part.
            write_slide: writes each slide.
        """
        write_competition(root / "competitions" / SLUG, images, train=train, write_slide=write_slide)
        shutil.copytree(self.bundle / DATASET, root / "datasets" / "someone" / DATASET)
        return root


def write(folder: Path, form: Form) -> TinySubmission:
    """Write an ensemble, its bundle and predict.py.

    Args:
        folder: an empty one, or none yet.
        form: of the ensemble.
    """
    made = TinySubmission(folder)
    weights = made.bundle / DATASET
    weights.mkdir(parents=True)
    ensemble = _ensemble([_member(weights, number, form) for number in range(form.members)], form)
    ensembles.save(folder / "ensemble.json", ensemble)
    entries = [
        Entry(file=member.weights, size=member.size, sha256=member.sha256, role="weights")
        for member in ensemble.members
    ]
    manifests.save(weights, Manifest(dataset=DATASET, files=entries, targets=["cp311", "cp312", "cp313"]))
    render(folder / "ensemble.json", made.bundle, made.script)
    return made


def write_competition(
    data: Path, images: Sizes, *, train: Sizes | None = None, write_slide: SlideWriter | None = None
) -> None:
    """Write the slides of the kidney competition.

    Args:
        data: its folder; it must not exist.
        images: id -> (height, width) of the slides of the test part.
        train: the same of the training part.
        write_slide: writes each slide, given path, number and (height, width); by default it is made up and
            not compressed.
    """
    parts = {"test": images, "train": train or {}}
    for part, slides in parts.items():
        (data / part).mkdir(parents=True)
        for seed, (name, size) in enumerate(slides.items()):
            (write_slide or _write_slide)(data / part / f"{name}.tiff", seed, size)
    (data / "sample_submission.csv").write_text("id,predicted\n" + "".join(f"{name},\n" for name in images))
    sizes = [item for slides in parts.values() for item in slides.items()]
    rows = "".join(f"{name}.tiff,{width},{height}\n" for name, (height, width) in sizes)
    table = data / "HuBMAP-20-dataset_information.csv"
    table.write_text("image_file,width_pixels,height_pixels\n" + rows)


def _write_slide(path: Path, seed: int, size: tuple[int, int]) -> None:
    tifffile.imwrite(path, slide_HWC(seed, size), photometric="rgb")


def slide_HWC(seed: int, size: tuple[int, int], *, noise: bool = False) -> NDArray[np.uint8]:
    """Return a made-up slide of coarse fields of colour.

    Args:
        seed: of the colours.
        size: (height, width).
        noise: in every pixel, so that no codec makes it much smaller.
    """
    random, (height, width) = np.random.default_rng(seed), size
    coarse = random.integers(90, 230, (height // _CELL + 1, width // _CELL + 1, 3))
    fields = np.kron(coarse, np.ones((_CELL, _CELL, 1)))[:height, :width].astype(np.uint8)
    return fields + random.integers(0, 8, fields.shape, dtype=np.uint8) if noise else fields


def _ensemble(members: list[Member], form: Form) -> Ensemble:
    seconds = form.seconds_per_megapixel
    return Ensemble(
        competition=COMPETITION,
        kind="semantic",
        members=members,
        passes=[
            Pass(member=number, view=view, seconds_per_megapixel=seconds)
            for number in range(form.members)
            for view in form.views
        ],
        rungs=[
            Rung(
                passes=list(range(count)),
                weights=[1.0] * count,
                settings={"threshold": 0.5},
                cv=0.5 + count / 100,
            )
            for count in form.rungs
        ],
        reserve_seconds=form.reserve_seconds,
        slowdown=form.slowdown,
    )


def _member(folder: Path, number: int, form: Form) -> Member:
    torch.manual_seed(number)
    module = build(dict(form.network))
    path = folder / f"member{number}.safetensors"
    save_weights(module, path, {"seed": str(number)}, half=True)
    return Member(
        name=f"member{number}",
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=dict(form.network),
        inference=dict(form.inference),
        requires=list(module.spec.requires),
    )
