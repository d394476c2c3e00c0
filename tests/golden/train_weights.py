"""How the golden weights were made: four tiny networks, trained on the sample.

    python tests/golden/train_weights.py --work build/golden-training

They are committed, so nobody has to run this; after running it, `slow_path.py` has to be run again too. The
two networks of each competition differ in their first weights and their data; the ensembles use what an
engine can get wrong: views that swap axes, scales that are no whole numbers, unequal weights, NMS before box
fusion.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from kit.artefacts import sha256_file
from kit.ensemble import Ensemble, Member, Pass, Rung, save
from kit.inference.settings import InstanceFusion, InstanceSettings, SemanticFusion, SemanticSettings
from train_local import recipes
from train_local.data.prepare import prepare
from train_local.evaluate import member_of
from train_local.loop import Options
from train_local.recipes import Recipe
from train_local.runs import plan
from train_local.start import Start
from train_local.train import train

HERE = Path(__file__).parent
SAMPLE = HERE.parent.parent / "sample"

KIDNEY_INFERENCE = (
    SemanticSettings(core=192, context=64, scale=0.25, batch_size=4),
    SemanticSettings(core=150, context=75, scale=0.3, batch_size=4),  # 300 pixels seen as 90
)
VASCULATURE_INFERENCE = (
    InstanceSettings(size=640, score_threshold=0.05, nms_iou=0.5, max_per_image=100),
    InstanceSettings(size=500, score_threshold=0.05, nms_iou=0.45, max_per_image=60),
)


def small_unet(number: int) -> Recipe:
    """The tiny recipe with a network of 0.13 MB."""
    tiny = recipes.get("unet-regnety16").tiny()
    network = {**tiny.network, "encoder_depth": 3, "decoder_channels": [32, 16, 16]}
    if number == 1:
        network["attention"] = "scse"
    return replace(
        tiny, name=f"golden-unet{number}", network=network, views=("identity",), seed=number, iterations=160
    )


def small_detector(number: int) -> Recipe:
    """The tiny recipe with a network of 1.2 MB."""
    tiny = recipes.get("detectors-r50").tiny()
    network = {**tiny.network, "base_channels": 4, "neck_channels": 16, "fc_channels": 32}
    network |= {"mask_convs": 1, "mask_channels": 16, "max_per_image": 100}
    return replace(
        tiny,
        name=f"golden-detector{number}",
        network=network,
        inference={"size": 640},
        views=("identity",),
        seed=number,
        data=replace(tiny.data, crop=128),
        iterations=300,
        eval_every=300,
    )


def trained(competition: str, recipe: Recipe, fold: int, work: Path) -> tuple[Member, Path]:
    """One trained member and its weights file."""
    reductions = [round(1 / recipe.data.scale)] if competition == "kidney" else (1,)
    prepared = prepare(
        competition, SAMPLE / competition, work / competition, reductions=reductions, fold_count=2
    )
    run = plan(recipe, prepared, fold, work / "runs")
    train(run, prepared, Options(device="cpu"), start=Start())
    weights = run.weights
    return member_of(run, sha256=sha256_file(weights), size=weights.stat().st_size), weights


def store(competition: str, members: list[tuple[Member, Path]], ensemble: Ensemble) -> None:
    """Copy weights and ensemble to where the golden test looks for them."""
    folder = HERE / competition / "weights"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for member, weights in members:
        shutil.copyfile(weights, folder / member.weights)
    save(HERE / competition / "ensemble.json", ensemble)


def passes(*items: tuple[int, str]) -> list[Pass]:
    """Passes whose cost nobody measured: a golden run has time."""
    return [Pass(member=member, view=view, seconds_per_megapixel=1.0) for member, view in items]


def kidney(work: Path) -> None:
    """Two U-Nets, three passes, two rungs."""
    made = [trained("kidney", small_unet(number), number, work) for number in (0, 1)]
    members = [
        replace(member, inference=settings.as_dict())
        for (member, _), settings in zip(made, KIDNEY_INFERENCE, strict=True)
    ]
    rungs = [
        Rung(passes=1, weights=[1.0], settings=SemanticFusion(threshold=0.5).as_dict(), cv=0.0),
        Rung(passes=3, weights=[1.0, 0.7, 0.5], settings=SemanticFusion(threshold=0.45).as_dict(), cv=0.0),
    ]
    steps = passes((0, "identity"), (1, "rot90"), (0, "transverse"))
    store(
        "kidney",
        made,
        Ensemble(competition="kidney", kind="semantic", members=members, passes=steps, rungs=rungs),
    )


def vasculature(work: Path) -> None:
    """Two DetectoRS-HTC, four passes, two rungs."""
    made = [trained("vasculature", small_detector(number), number, work) for number in (0, 1)]
    members = [
        replace(member, inference=settings.as_dict())
        for (member, _), settings in zip(made, VASCULATURE_INFERENCE, strict=True)
    ]
    fusion = InstanceFusion(iou=0.55, skip_score=0.1, vote_fraction=0.6, morphology="closing", min_area=12)
    rungs = [
        Rung(passes=1, weights=[1.0], settings=fusion.as_dict(), cv=0.0),
        Rung(passes=4, weights=[1.0, 0.6, 1.0, 0.6], settings=fusion.as_dict(), cv=0.0),
    ]
    steps = passes((0, "identity"), (1, "hflip"), (0, "rot270"), (1, "vflip"))
    store(
        "vasculature",
        made,
        Ensemble(competition="vasculature", kind="instance", members=members, passes=steps, rungs=rungs),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="scratch folder for data and runs")
    work = parser.parse_args().work
    kidney(work)
    vasculature(work)
