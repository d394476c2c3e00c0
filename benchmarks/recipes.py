"""Measure training steps and predictions of the instance networks beside the published logs of an A6000."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.measure import SMALL_MATMUL, Case, Result, measure
from kit.local.console import console
from kit.local.estimate import estimate
from kit.models import tiny

HEAD = (
    "network",
    "step",
    "images",
    "precision",
    "s",
    "s, A6000",
    "peak GB",
    "peak GB, A6000",
    "of matmul",
)


@dataclass(frozen=True)
class Recipe:
    """The way in which a network was trained and used.

    Attributes:
        network: name in the registry.
        train: side of the training images in pixels; a batch holds two of them.
        predict: side of the image in prediction, in pixels.
        way: precision in training; prediction uses float16.
        checkpointing: whether training recomputes activations to save memory.
        seconds: logged time of an iteration.
        gigabytes: logged peak memory of an iteration.
    """

    network: str
    train: int
    predict: int
    way: str
    checkpointing: bool
    seconds: float
    gigabytes: float


RECIPES = (
    Recipe("cbnetv2-swin-b", 1600, 2048, "float16", checkpointing=False, seconds=1.8, gigabytes=41.1),
    Recipe("vit-adapter-l", 1400, 1600, "float32", checkpointing=True, seconds=5.7, gigabytes=32.2),
    Recipe("detectors-x101", 2048, 2048, "float16", checkpointing=False, seconds=5.3, gigabytes=43.8),
    Recipe("detectors-r50", 2048, 2048, "float16", checkpointing=False, seconds=2.0, gigabytes=20.5),
)


def rows(names: Sequence[str], *, seconds: float, small: bool, device: str) -> Iterator[list[str]]:
    """Yield rows under `HEAD`: a training step and a prediction of each network.

    Args:
        names: in the registry; networks without a recipe give no row.
        seconds: how long each step is repeated.
        small: measure the tiny forms at a sixteenth of the side.
        device: "cuda"; on "cpu" the same steps run with bfloat16 in place of float16.
    """
    for recipe in RECIPES:
        if recipe.network not in names:
            continue
        for step, side, way in (("train", recipe.train, recipe.way), ("predict", recipe.predict, "float16")):
            training = step == "train"
            network = tiny(recipe.network) if small else {"network": recipe.network}
            shown = side // 16 if small else side
            case = Case(
                network={**network, "checkpointing": recipe.checkpointing and training},
                height=shown,
                width=shown,
                batch=2 if training else 1,
                ways=("bfloat16" if way == "float16" and device == "cpu" else way,),
                step=step,
                device=device,
                seconds=seconds,
            )
            case = replace(case, matmul_side=SMALL_MATMUL) if small else case
            console().print(f"measuring {recipe.network}, {step} ...")
            # The logs are of training at full size; nothing else can stand beside them.
            logged = ("", "")
            if training and not small:
                logged = (f"{recipe.seconds:.1f}", f"{recipe.gigabytes:.1f}")
            yield _row(case, measure(case), logged)


def _row(case: Case, found: Result, logged: tuple[str, str]) -> list[str]:
    (way,) = case.ways
    # `of matmul` needs the operations of the step, and `estimate` counts a forward pass. A training step has
    # a backward pass, and with checkpointing a second forward pass, so the cell stays empty there.
    share = ""
    if case.step == "predict":
        flops = estimate(case.network, case.height, case.width).forward_flops
        share = f"{flops / found.seconds[way] / found.matmul_flops[way]:.0%}"
    return [
        str(case.network["network"]),
        case.step,
        f"{case.batch} x {case.width}",
        way,
        f"{found.seconds[way]:.2f}",
        logged[0],
        f"{found.peak_bytes[way] / 1e9:.1f}",
        logged[1],
        share,
    ]
