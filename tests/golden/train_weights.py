"""How the golden weights were made: four tiny networks, trained on the sample.

    nox -s golden -- --make weights --work build/golden-training

They are committed, so nobody has to run this; after running it, `--make expected` has to be run, too. The
two networks of each competition differ in their first weights and their data; the ensembles use what an
engine can get wrong: views that swap axes, scales that are no whole numbers, unequal weights, NMS before box
fusion.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from kit.artefacts import sha256_file, sha256_json, write_bytes
from kit.ensemble import Ensemble, Member, Pass, Rung, save
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.semantic_settings import SemanticFusion, SemanticSettings
from kit.typed_json import to_plain
from train_local import recipes
from train_local.data.prepare import prepare
from train_local.engine import checkpoint
from train_local.engine.initial_weights import InitialWeights
from train_local.engine.train import train
from train_local.options import Options
from train_local.recipes.base import Recipe
from train_local.recipes.settings import NetworkConfig, Validation
from train_local.runs import Run, make_run

Inference = SemanticSettings | InstanceSettings
HERE = Path(__file__).parent
SAMPLE = HERE.parent.parent / "sample"

KIDNEY_INFERENCE = (
    SemanticSettings(core=192, context=64, scale=0.25, batch_size=4),
    # 300 pixels seen as 90; of the glass beside the tissue, windows that hold nothing else are left out
    SemanticSettings(core=150, context=75, scale=0.3, batch_size=4, skip_background=True),
)
VASCULATURE_INFERENCE = (
    InstanceSettings(size=480, score_threshold=0.05, nms_iou=0.5, max_per_image=100),
    InstanceSettings(size=430, score_threshold=0.05, nms_iou=0.45, max_per_image=60),
)


def small_unet(number: int) -> Recipe:
    """The tiny recipe with a network of 0.13 MB."""
    tiny = recipes.get("unet-regnety16").tiny()
    size = {"encoder": "tu-regnety_002", "encoder_depth": 3, "decoder_channels": [32, 16, 16]}
    if number == 1:
        size["attention"] = "scse"
    return replace(
        tiny,
        name=f"golden-unet{number}",
        network=NetworkConfig(name="unet-regnety16", arguments=size),
        views=("identity",),
        data=replace(tiny.data, scale=0.25, crop=128),
        seed=number,
        iterations=(240, 160)[number],
    )


def small_detector() -> Recipe:
    """The tiny recipe with a network of 1.2 MB."""
    tiny = recipes.get("detectors-r50").tiny()
    size = {**tiny.network.arguments, "base_channels": 4, "neck_channels": 16, "fc_channels": 32}
    size |= {"mask_convs": 1, "mask_channels": 16, "anchor_scales": [6.0], "max_per_image": 100}
    return replace(
        tiny,
        name="golden-detector",
        network=replace(tiny.network, arguments=size),
        views=("identity",),
        data=replace(tiny.data, scale=1.5, crop=128),
        half=False,  # a variance of this narrow network is too large for fp16
        iterations=300,
        validation=Validation(every=300, unit="iteration"),
        seed=0,
    )


def trained(competition: str, recipe: Recipe, fold: int, work: Path) -> Run:
    """A finished run."""
    reductions = [round(1 / recipe.data.scale)] if competition == "kidney" else (1,)
    prepared = prepare(
        competition, SAMPLE / competition, work / competition, reductions=reductions, fold_count=2
    )
    run = make_run(recipe, prepared, fold, work / "runs", identity=sha256_json([recipe.as_dict(), fold]))
    train(run, prepared, Options(device="cpu"), initial=InitialWeights())
    return run


def half_where_it_fits(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating point as fp16, but for tensors with values that fp16 has not."""
    stored = {}
    for name, tensor in state.items():
        half = tensor.half() if tensor.is_floating_point() else tensor
        stored[name] = (half if bool(half.isfinite().all()) else tensor).contiguous()
    return stored


def member(
    competition: str, name: str, recipe: Recipe, state: dict[str, Tensor], inference: Inference
) -> Member:
    """Write one member's weights to where the golden test looks for them."""
    path = HERE / competition / "weights" / f"{name}.safetensors"
    write_bytes(path, serialize(half_where_it_fits(state)))
    return Member(
        name=name,
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=recipe.network.as_dict(),
        inference=to_plain(inference),
        requires=list(recipe.network.spec.requires),
    )


def passes(*items: tuple[int, str]) -> list[Pass]:
    """Passes whose cost nobody measured: a golden run has time."""
    return [Pass(member=member, view=view, seconds_per_megapixel=1.0) for member, view in items]


def kidney(work: Path) -> None:
    """Two U-Nets of different folds, three passes, two rungs."""
    members = []
    for number, inference in enumerate(KIDNEY_INFERENCE):
        recipe = small_unet(number)
        state = load_file(trained("kidney", recipe, number, work).weights)
        members.append(member("kidney", f"{recipe.name}.fold{number}", recipe, state, inference))
    rungs = [
        Rung(passes=[0], weights=[1.0], settings=to_plain(SemanticFusion(threshold=0.5)), cv=0.0),
        Rung(
            passes=[0, 1, 2],
            weights=[1.0, 1.7, 0.5],
            settings=to_plain(SemanticFusion(threshold=0.45)),
            cv=0.0,
        ),
    ]
    steps = passes((0, "identity"), (1, "rot90"), (0, "transverse"))
    save(
        HERE / "kidney" / "ensemble.json",
        Ensemble(competition="kidney", kind="semantic", members=members, passes=steps, rungs=rungs),
    )


def vasculature(work: Path) -> None:
    """The averaged and the last weights of one DetectoRS-HTC, four passes, two rungs."""
    recipe = small_detector()
    run = trained("vasculature", recipe, 0, work)
    last = checkpoint.load(run.checkpoints, identity=run.identity)
    assert last is not None, "a finished run keeps its last checkpoint"
    unwrapped = {key.removeprefix("network."): value for key, value in last["network"].items()}
    states = {"averaged": load_file(run.weights), "last": unwrapped}
    members = [
        member("vasculature", f"{recipe.name}-{name}", recipe, state, inference)
        for (name, state), inference in zip(states.items(), VASCULATURE_INFERENCE, strict=True)
    ]
    fusion = InstanceFusion(iou=0.55, skip_score=0.1, vote_fraction=0.6, morphology="closing", min_area=12)
    rungs = [
        Rung(passes=[0], weights=[1.0], settings=to_plain(fusion), cv=0.0),
        Rung(passes=[0, 1, 2, 3], weights=[1.0, 0.6, 1.0, 0.6], settings=to_plain(fusion), cv=0.0),
    ]
    steps = passes((0, "identity"), (1, "hflip"), (0, "rot270"), (1, "vflip"))
    save(
        HERE / "vasculature" / "ensemble.json",
        Ensemble(competition="vasculature", kind="instance", members=members, passes=steps, rungs=rungs),
    )


def make(work: Path) -> None:
    """Train the networks of both golden ensembles, and write their weights and `ensemble.json`.

    Args:
        work: scratch folder for data and runs.
    """
    kidney(work)
    vasculature(work)
