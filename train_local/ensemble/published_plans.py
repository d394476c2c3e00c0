"""Published ensembles by name: members in their published order, views, weights, thresholds, fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kit.errors import KitError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class PlannedMember:
    """The trained networks of one recipe in a published ensemble.

    Attributes:
        recipe: its name.
        runs: networks of it, one for each fold that was trained.
        symmetries: views at each size.
        sizes: of the network's input, longer side, pixels; empty: the size of the recipe's settings.
        weight: of each map or list of detections.
    """

    recipe: str
    runs: int = 1
    symmetries: tuple[str, ...]
    sizes: tuple[int, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PublishedPlan:
    """A published ensemble.

    Attributes:
        name: of the plan.
        competition: its name.
        title: one line for people.
        members: in the published order.
        settings: of the fusion, as a rung has them.
        deviations: what is done differently here, and why.
        sources: where the values were read.
        notes: what else is good to know.
    """

    name: str
    competition: str
    title: str
    members: tuple[PlannedMember, ...]
    settings: Mapping[str, Any]
    deviations: tuple[str, ...] = ()
    sources: str = ""
    notes: tuple[str, ...] = ()


TINY = "-tiny"
"""Ends the name of a recipe's tiny form."""
_FLIP = ("identity", "hflip")
_FLIPS = ("identity", "hflip", "vflip")
_BY_960 = (768, 960, 1152)

BODY_1ST = PublishedPlan(
    name="body-1st",
    competition="body",
    title="HuBMAP + HPA 2022, 1st place: six SegFormers, 3 scales x 2 flips",
    members=(
        PlannedMember(recipe="segformer-b3-1024", symmetries=_FLIP, sizes=(832, 1024, 1216)),
        PlannedMember(recipe="segformer-b4-960", symmetries=_FLIP, sizes=_BY_960),
        PlannedMember(recipe="segformer-b4-960-2", symmetries=_FLIP, sizes=_BY_960),
        PlannedMember(recipe="segformer-b5-928", symmetries=_FLIP, sizes=(736, 928, 1120)),
        PlannedMember(recipe="segformer-b5-960", symmetries=_FLIP, sizes=_BY_960),
        PlannedMember(recipe="segformer-b5-960-2", symmetries=_FLIP, sizes=_BY_960),
    ),
    settings=MappingProxyType(
        {
            "threshold": 0.5,
            "thresholds": {
                "kidney": 0.3,
                "largeintestine": 0.2,
                "lung": 0.6,
                "prostate": 0.3,
                "spleen": 0.5,
            },
        }
    ),
    deviations=(
        (
            "each view's map is resized to the image after the sigmoid, published: before it "
            "(docs/inference.md has the measured difference)"
        ),
    ),
    sources="A:predict.py, A:model_configs, Am:mmseg/models/segmentors/encoder_decoder.py",
)

KIDNEY_2ND = PublishedPlan(
    name="kidney-2nd",
    competition="kidney",
    title="Hacking the Kidney, 2nd place: four networks x four folds, 4 views",
    members=tuple(
        PlannedMember(recipe=recipe, runs=4, symmetries=("identity", "hflip", "rot90", "transpose"))
        for recipe in (
            "unet-regnety16",
            "unet-regnetx32",
            "unetplusplus-regnety16-scse",
            "unet-regnety16-scse",
        )
    ),
    settings=MappingProxyType({"threshold": 0.55, "thresholds": {}}),
    deviations=(
        (
            "every fold has its own weights; the published script loads all folds of a network into one "
            "module, so that only the last one counts"
        ),
        "the mean of the views is taken over probabilities, published: over logits",
    ),
    sources="D:src/kaggle_infer.py",
)

_VASCULATURE = (
    PlannedMember(recipe="detectors-r50", symmetries=_FLIPS, sizes=(2048,)),
    PlannedMember(recipe="detectors-x101", symmetries=_FLIPS, sizes=(2048,)),
    PlannedMember(recipe="cbnetv2-swin-b", symmetries=_FLIPS, sizes=(2048,)),
    PlannedMember(recipe="vit-adapter-l-adamw", symmetries=_FLIPS, sizes=(1600, 1400)),
    PlannedMember(recipe="vit-adapter-l-sgd", symmetries=_FLIPS, sizes=(1600, 1400)),
)
_UNKNOWN_NOTEBOOK = (
    "the final notebook is not public: boxes are fused with the settings of the published pseudo labels "
    "(IoU 0.6, scores from 0.01, a fifth of the votes, equal weights)"
)
_SQUARE = "masks are opened or closed with a square of 3 x 3 pixels, in the notebook with a cross of 3 x 3"


def _boxes(morphology: str) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            "iou": 0.6,
            "skip_score": 0.01,
            "confidence": "avg",
            "masks": "votes",
            "vote_fraction": 0.2,
            "morphology": morphology,
        }
    )


VASCULATURE_3RD = PublishedPlan(
    name="vasculature-3rd",
    competition="vasculature",
    title="Hacking the Human Vasculature, 3rd place: five detectors; masks opened, as the README says",
    members=_VASCULATURE,
    settings=_boxes("opening"),
    deviations=(_UNKNOWN_NOTEBOOK, _SQUARE),
    sources="B:README.md, B:split/pseudogen.ipynb",
    notes=("README: erosion, then one dilation (+0.005), which is an opening",),
)

VASCULATURE_3RD_CLOSING = PublishedPlan(
    name="vasculature-3rd-closing",
    competition="vasculature",
    title="the same five detectors; masks closed, as the pseudo-label notebook does",
    members=_VASCULATURE,
    settings=_boxes("closing"),
    deviations=(_UNKNOWN_NOTEBOOK, _SQUARE),
    sources="B:split/pseudogen.ipynb",
    notes=("notebook: erosion(dilation(mask)), which is a closing",),
)

BODY_B2 = PublishedPlan(
    name="body-b2",
    competition="body",
    title="HuBMAP + HPA 2022, SegFormer-b2 with the mix-upsample decoder, 3 views",
    members=(PlannedMember(recipe="segformer-b2-mixupsample", symmetries=_FLIPS),),
    settings=MappingProxyType({"threshold": 0.6225, "thresholds": {}}),
    deviations=(
        (
            "published: the logit is compared with 0.5; 0.6225 is its sigmoid, and the mean of the views is "
            "taken over probabilities"
        ),
        "the third view flips the rows; published: the rows and the colour channels (dims 1 and 2 of NCHW)",
        "masks are stored as they are; the published ones hold 0 and 255, and the encoder looks for 1",
    ),
    sources="C3:inferencev2.py",
)

PLANS = (BODY_1ST, BODY_B2, KIDNEY_2ND, VASCULATURE_3RD, VASCULATURE_3RD_CLOSING)


def recipe_of(name: str) -> str:
    """Return the recipe that a tiny form stands for: "unet-regnety16-tiny" is "unet-regnety16"."""
    return name.removesuffix(TINY)


def get(name: str) -> PublishedPlan:
    """Return a plan.

    Raises:
        KitError: there is none of this name.
    """
    for plan in PLANS:
        if plan.name == name:
            return plan
    names = [plan.name for plan in PLANS]
    raise KitError(
        f"there is no published ensemble {name!r}",
        fix=f"{did_you_mean(name, names)}use one of: {', '.join(names)}",
    )


def plans_of(competition: str) -> list[PublishedPlan]:
    """Return the published ensembles of a competition."""
    return [plan for plan in PLANS if plan.competition == competition]
