"""What the instance engine is told, as plain dicts in `ensemble.json`.

`Member.inference` holds `InstanceSettings`, `Rung.settings` holds `InstanceFusion`. `kit.typed_json` checks
types and limits of fields; rules across fields are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from kit.errors import KitError
from kit.inference import calibration
from kit.inference.boxes import Confidence
from kit.typed_json import ODD, Checked, Fraction, above, at_least, at_most, below

Morphology = Literal["none", "closing", "opening"]
Overlap = Literal["keep", "exclusive"]
Count = Annotated[int, at_least(1)]
Probability = Annotated[float, above(0), below(1)]
PositiveFraction = Annotated[float, above(0), at_most(1)]

_FIX = "correct the recipe's inference settings"


@dataclass(frozen=True, kw_only=True)
class InstanceSettings(Checked):
    """How an instance network sees an image: at once, or in overlapping windows if it is larger than one.

    Attributes:
        size: longer side of the image or window at the network's input, pixels; the ratio is kept. A view's
            scale multiplies it ("hflip@0.8").
        window: pixels per side of a window; None: every image is seen at once.
        overlap: least pixels that neighbouring windows share; more than most instances are long.
        score_threshold: drop detections with a lower score (published 0.001: additional low scores cost
            almost no AP).
        nms_iou: detections of several views of one member that overlap more are the same instance.
        max_per_image: number of best detections to keep in each window under each view, and again in each
            window after the views are merged.
        mask_threshold: threshold of the network's mask probability, and of the coverage of pixels when masks
            are resized to the image.
        autocast: float16 autocast on CUDA; the CPU always computes in float32.
    """

    size: Count
    window: Count | None = None
    overlap: Annotated[int, at_least(0)] = 0
    score_threshold: Annotated[float, at_least(0), below(1)] = 0.001
    nms_iou: PositiveFraction = 0.5
    max_per_image: Count = 100
    mask_threshold: Probability = 0.5
    autocast: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overlap > (self.window or 0) // 2:
            problem = f"overlap is {self.overlap}, more than half the window ({self.window})"
            raise KitError(problem, fix=_FIX)


@dataclass(frozen=True, kw_only=True)
class InstanceFusion(Checked):
    """How the members' detections become instances: weighted boxes fusion with tracked masks.

    The defaults are the published pseudo-label settings of the vasculature 3rd place.

    Attributes:
        iou: a box joins a cluster if its IoU with the cluster's fused box is larger.
        skip_score: detections with a lower score are left out of the fusion.
        confidence: how the scores of a cluster become one, by the names of ensemble-boxes; see
            `kit.inference.boxes`. "avg", which the published system used, can exceed 1 and is cut at 1, so
            that such instances have equal scores. The others never exceed 1.
        masks: "votes", or "soft": the mean of a cluster's masks, weighted by weighted score.
        vote_fraction: with "votes", a pixel belongs to the fused mask if at least max(1, int(vote_fraction *
            n)) of the n masks hold it.
        mask_threshold: with "soft", a pixel belongs to the fused mask if the mean reaches this.
        morphology: of fused masks: "closing" = erosion(dilation), "opening" = dilation(erosion), or "none".
        morphology_size: side of the square kernel of the morphology, pixels, odd.
        overlap: "keep" lets instances overlap; "exclusive" gives each pixel to the best-scored instance that
            holds it.
        min_area: instances of fewer pixels are dropped at the end.
        min_score: instances with a lower fused score are dropped.
        calibration: name of a member -> calibration of its scores before the fusion
            (`kit.inference.calibration`); the scores of other members stay as they are.
    """

    iou: PositiveFraction = 0.6
    skip_score: Fraction = 0.01
    confidence: Confidence = "avg"
    masks: Literal["votes", "soft"] = "votes"
    vote_fraction: Fraction = 0.2
    mask_threshold: PositiveFraction = 0.5
    morphology: Morphology = "closing"
    morphology_size: Annotated[int, at_least(1), ODD] = 3
    overlap: Overlap = "keep"
    min_area: Count = 1
    min_score: Fraction = 0.0
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, how in self.calibration.items():
            calibration.check(how, of=name)
