"""Write ensembles of the published sizes with everything that `render` reads: ensemble.json and manifests.

There are no weights and wheels, because `render` reads only their manifests.
`published_ensembles_wheels.json` is the manifest of a bundle for Python 3.11 to 3.13 that was built from
requirements.lock.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.semantic_settings import SemanticFusion, SemanticSettings
from kit.local.costs import four_digits
from kit.manifest import Entry, Manifest
from kit.models import spec
from kit.typed_json import to_plain

WHEELS = Path(__file__).with_name("published_ensembles_wheels.json")
UNETS = ("unet-regnety16", "unet-regnety16-scse", "unet-regnetx32", "unetplusplus-regnety16-scse")
SEGFORMERS = tuple(f"segformer-b{size}" for size in range(6))
DETECTORS = ("detectors-r50", "detectors-x101", "cbnetv2-swin-b", "vit-adapter-l", "vit-adapter-l-3x")
VIEWS = ("identity", "hflip", "vflip", "rot90", "transpose", "rot270")
ORGANS = {"kidney": 0.4, "prostate": 0.3, "largeintestine": 0.3, "spleen": 0.5, "lung": 0.1}
WINDOWS = SemanticSettings(core=1536, context=384, scale=1 / 3, pixel_size=0.65, skip_background=True)
DETECTION = InstanceSettings(size=2048, window=1024, overlap=256)


@dataclass(frozen=True)
class Size:
    """The size of an ensemble.

    Attributes:
        competition: name.
        kind: "semantic" or "instance".
        networks: names in the registry.
        folds: number of folds on which each network is trained; each fold gives a member.
        views: each member predicts under each of them.
        rungs: number of rungs.
    """

    # Example: kidney has 4 networks on 4 folds, so 16 members, under 4 views: 64 passes. Its 17 rungs end
    # after 1, 4, 8, 12, ..., 64 passes. The largest ensemble has a rung after every pass.

    competition: str
    kind: Literal["semantic", "instance"]
    networks: tuple[str, ...]
    folds: int
    views: tuple[str, ...]
    rungs: int


SIZES = {
    "kidney, 16 members x 4 views": Size("kidney", "semantic", UNETS, 4, VIEWS[:4], 17),
    "vasculature, 5 members x 6 views": Size("vasculature", "instance", DETECTORS, 1, VIEWS, 7),
    "body, 6 members x 6 views": Size("body", "semantic", SEGFORMERS, 1, VIEWS, 12),
    "body, 64 members": Size("body", "semantic", (*UNETS, *SEGFORMERS, *SEGFORMERS[:6]), 4, VIEWS[:1], 64),
}


def digest(text: str) -> str:
    """Return a SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def members(size: Size) -> list[Member]:
    """Return the members as training writes them."""
    inference = WINDOWS if size.kind == "semantic" else DETECTION
    return [
        Member(
            name=f"{network}-{number}.fold{fold}",
            weights=f"{network}-{number}.fold{fold}.safetensors",
            sha256=digest(f"{network} {number} {fold}"),
            size=100_000_000 + number,
            network={"network": network},
            inference=to_plain(inference),
            requires=list(spec(network).requires),
        )
        for number, network in enumerate(size.networks)
        for fold in range(size.folds)
    ]


def curve(seed: int) -> dict[str, Any]:
    """Return an isotonic calibration of twenty points, with as many digits as training writes."""
    random = np.random.default_rng(seed)
    scores, values = np.sort(random.random((2, 20)), axis=1)
    return {
        "kind": "curve",
        "scores": [0.0, *np.round(scores[1:-1], 6).tolist(), 1.0],
        "values": np.round(values, 10).tolist(),
    }


def settings(size: Size, names: Sequence[str], rung: int) -> dict[str, Any]:
    """Return the settings of a rung of some members with everything tuned."""
    if size.kind == "instance":
        curves = {name: curve(rung * 64 + number) for number, name in enumerate(names)}
        return dict(to_plain(InstanceFusion(iou=0.65, vote_fraction=0.35, calibration=curves)))
    by_organ = ORGANS if size.competition == "body" else {}
    by_source = {f"{source}/{organ}": by_organ[organ] for source in ("Hubmap", "HPA") for organ in by_organ}
    return dict(to_plain(SemanticFusion(threshold=0.41, thresholds={**by_organ, **by_source})))


def ensemble_of(size: Size) -> Ensemble:
    """Return the ensemble; its rungs spread evenly over its passes."""
    trained = members(size)
    walks = list(itertools.product(size.views, range(len(trained))))
    random = np.random.default_rng(0)
    lengths = np.unique(np.linspace(1, len(walks), size.rungs).astype(int)).tolist()
    return Ensemble(
        competition=size.competition,
        kind=size.kind,
        members=trained,
        passes=[
            Pass(member=member, view=view, seconds_per_megapixel=four_digits(random.random()))
            for view, member in walks
        ],
        rungs=[
            Rung(
                passes=list(range(length)),
                weights=random.random(length).round(6).tolist(),  # as `ensemble` writes them
                # A rung has the calibrations of its own members: the first pass has one of five.
                settings=settings(size, [member.name for member in trained][:length], number),
                cv=0.9 + number / 1000,
            )
            for number, length in enumerate(lengths)
        ],
        inputs={f"{member.name}.oof": digest(member.name) for member in trained},
    )


def run_record(member: Member) -> dict[str, Any]:
    """Return the record of a training run, as large as that of a real run: 2.9 kB."""
    return {
        "recipe": member.network["network"],
        "fold": 0,
        "seed": 1,
        "config_sha256": digest(member.name),
        "metrics": {f"epoch {epoch}": 0.9 + epoch / 12345 for epoch in range(88)},
    }


def write(folder: Path, size: Size) -> tuple[Path, Path]:
    """Write ensemble.json and the manifests of a bundle as `bundle build` leaves them.

    Returns:
        The path of ensemble.json and the folder of the bundle.
    """
    ensemble, bundle = ensemble_of(size), folder / "bundle"
    ensembles.save(folder / "ensemble.json", ensemble)
    weights = [
        Entry(
            file=member.weights,
            size=member.size,
            sha256=member.sha256,
            role="weights",
            run=run_record(member),
        )
        for member in ensemble.members
    ]
    foreign = Entry(file="of-another-ensemble.safetensors", size=1, sha256=digest("another"), role="weights")
    for manifest in (
        replace(manifests.load(WHEELS), dataset=f"hubmap-kit-{size.competition}-wheels"),
        Manifest(dataset=f"hubmap-kit-{size.competition}-weights", files=[*weights, foreign]),
    ):
        (bundle / manifest.dataset).mkdir(parents=True)
        manifests.save(bundle / manifest.dataset, manifest)
    return folder / "ensemble.json", bundle
