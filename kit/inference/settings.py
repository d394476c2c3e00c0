"""What the engine needs to know about a member and about a rung, as plain dicts in `ensemble.json`.

`Member.inference` holds `SemanticSettings` or `InstanceSettings`, `Rung.settings` holds `SemanticFusion` or
`InstanceFusion`. `kit.typed_json` checks types and limits of fields; rules across fields are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from kit.errors import KitError
from kit.images.info import ImageInfo
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
class SemanticSettings(Checked):
    """How one semantic network sees a slide: in windows (`core`, `context`, `scale`) or whole (`size`).

    Windows: the image is cut into square cores; each is predicted from a window with `context` more pixels on
    every side, read at full resolution (reflected outside the image) and resized by `scale` to the network's
    input. Published: kidney 2nd place core 1536, context 384, scale 1/3; 1024-px windows seen at 320: core
    512, context 256, scale 0.3125.

    Whole: the longer side becomes `size`, the ratio is kept; for images that fit into memory. Published: body
    1st place, three sizes.

    Attributes:
        core: pixels a side, full resolution.
        context: pixels on each side of the core, full resolution.
        scale: network input pixels per full-resolution pixel.
        size: the whole image's longer side at the network's input, pixels.
        pixel_size: micrometres of a full-resolution pixel for which core, context and scale hold. An image of
            another pixel size is cut into windows of the same micrometres, seen by the network at the same
            input size. None, or an image of unknown pixel size: windows are what they are in pixels.
        batch_size: windows in one forward pass, fewer on the CPU; halved when memory runs out.
        blend: "halo" keeps cores only: no sums. "gaussian" is the mean over all windows that show a pixel,
            weighted by a normal density around each window's centre, sigma an eighth of the window (nnU-Net).
        skip_background: cores without tissue become probability 0 and are not shown to the network.
        stored: "uint16", or "uint8": half the disk, probabilities to within 1/510.
        autocast: float16 autocast on CUDA; the CPU always computes in float32.
    """

    core: Count | None = None
    context: Annotated[int, at_least(0)] | None = None
    scale: Annotated[float, above(0)] | None = None
    size: Count | None = None
    pixel_size: Annotated[float, above(0)] | None = None
    batch_size: Count = 8
    blend: Literal["halo", "gaussian"] = "halo"
    skip_background: bool = False
    stored: Literal["uint16", "uint8"] = "uint16"
    autocast: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is None:
            self._check_windows()
            return
        of_windows = ("core", "context", "scale", "pixel_size", "blend", "skip_background")
        defaults = {item.name: item.default for item in fields(self)}
        if given := [name for name in of_windows if getattr(self, name) != defaults[name]]:
            raise KitError(f"{given[0]} belongs to windows, but with size the image is seen whole", fix=_FIX)

    def _check_windows(self) -> None:
        if missing := [name for name in ("core", "context", "scale") if getattr(self, name) is None]:
            problem = f"give either size, or core, context and scale; missing: {', '.join(missing)}"
            raise KitError(problem, fix=_FIX)
        if self.input_size < 1:
            raise KitError(f"scale {self.scale} leaves nothing of a window of {self.window} pixels", fix=_FIX)

    @property
    def windows(self) -> tuple[int, int, float]:
        """Core, context and scale."""
        assert self.core is not None and self.context is not None and self.scale is not None, "seen whole"  # noqa: PT018  # one fact
        return self.core, self.context, self.scale

    @property
    def window(self) -> int:
        """Pixels a side read at full resolution."""
        core, context, _ = self.windows
        return core + 2 * context

    @property
    def input_size(self) -> int:
        """Pixels a side the network sees under a view of scale 1."""
        return int(self.window * self.windows[2] + 0.5)


@dataclass(frozen=True, kw_only=True)
class InstanceSettings(Checked):
    """How one instance network sees an image: whole, or in windows that overlap where it is larger than one.

    Attributes:
        size: the longer side of the image or window at the network's input, pixels; the ratio is kept. Times
            the scale of a view ("hflip@0.8").
        window: pixels a side of the image that the network sees at once; None: every image whole.
        overlap: pixels that neighbouring windows share at least: more than most instances are long.
        score_threshold: detections below are dropped (published .001: low-scored extras cost AP almost
            nothing).
        nms_iou: detections of several views of one member that overlap more are the same instance.
        max_per_image: best detections kept of each window under each view, and as many a window of the merged
            views.
        mask_threshold: of the network's mask probability; masks leave the network as bool, so this also
            decides a pixel when a mask is resized back.
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
class SemanticFusion(Checked):
    """How probability maps become a mask.

    Attributes:
        threshold: a pixel whose weighted mean probability reaches it is foreground; belongs to probabilities,
            never to logits.
        thresholds: by organ ("lung") or source and organ ("Hubmap/lung"), as the competition spells them,
            for images where another one is better; the more specific one applies.
    """

    threshold: Probability = 0.5
    thresholds: Mapping[str, Probability] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.thresholds:
            if not all(name.split("/")) or name.count("/") > 1:
                raise KitError(f"thresholds are by organ or source/organ, not by {name!r}", fix=_FIX)

    def threshold_of(self, info: ImageInfo | None) -> float:
        """The threshold for an image: its source and organ's, else its organ's, else the common one."""
        if info is None or not info.organ:
            return self.threshold
        common = self.thresholds.get(info.organ, self.threshold)
        return self.thresholds.get(f"{info.source}/{info.organ}", common)


@dataclass(frozen=True, kw_only=True)
class InstanceFusion(Checked):
    """How the members' detections become instances: weighted boxes fusion with tracked masks.

    The defaults are the published pseudo-label settings of the vasculature 3rd place.

    Attributes:
        iou: boxes that overlap a cluster's fused box by more than this join it.
        skip_score: detections below are left out of the fusion.
        confidence: how the scores of a cluster become one, as ensemble-boxes names them; see
            `kit.inference.boxes`. "avg", which the published system used, can pass 1 and is cut there:
            instances above it tie. "box_and_model_avg", "max" and "absent_model_aware_avg" never do.
        masks: "votes", or "soft": the mean of a cluster's masks, weighted by weighted score.
        vote_fraction: for votes: a pixel belongs to the fused mask if at least max(1, int(vote_fraction * n))
            of the n masks hold it.
        mask_threshold: for soft masks: a pixel belongs to the fused mask if the mean reaches it.
        morphology: of fused masks: "closing" = erosion(dilation), "opening" = dilation(erosion), or "none".
        morphology_size: side of its square kernel, odd.
        overlap: "keep" lets instances overlap; "exclusive" gives each pixel to the best-scored instance that
            holds it.
        min_area: pixels; smaller instances are dropped at the very end.
        min_score: instances with a lower fused score are dropped.
        calibration: by name of the member, see `kit.inference.calibration`; scores are calibrated before
            anything here looks at them. Members without one keep their scores.
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
