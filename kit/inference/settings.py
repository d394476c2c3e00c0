"""What the engine needs to know about a member and about a rung, as plain dicts in `ensemble.json`.

`Member.inference` holds `SemanticSettings` or `InstanceSettings`, `Rung.settings` holds `SemanticFusion` or
`InstanceFusion`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference import calibration
from kit.inference.boxes import CONFIDENCES, Confidence

Morphology = Literal["none", "closing", "opening"]
Overlap = Literal["keep", "exclusive"]


class _Settings:
    """Plain dict out, checked dict in; unknown or missing names are errors, so a typo is never a default."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # every subclass is a dataclass

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], *, where: str | Path | None = None) -> Self:
        """The settings of a plain JSON value.

        Raises:
            KitError: unknown, missing or impossible values.
        """
        if not isinstance(value, Mapping):
            raise KitError(f"not {cls.__name__}: {value!r}", where=where, fix="run `ensemble` again")
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
        if unknown := sorted(set(value) - known):
            raise KitError(
                f"{cls.__name__} knows no {', '.join(unknown)}",
                where=where,
                fix=f"known names: {', '.join(sorted(known))}",
            )
        try:
            return cls(**value)
        except KitError as error:
            raise KitError(error.problem, where=error.where or where, fix=error.fix) from error
        except (TypeError, OverflowError) as error:
            raise KitError(f"not {cls.__name__}: {error}", where=where, fix="run `ensemble` again") from error


def _require_whole(settings: _Settings, *names: str) -> None:
    """Numbers of pixels and the like, or None where that means something: 3.0 is no size of an array."""
    for name in names:
        value = getattr(settings, name)
        _require(value is None or type(value) is int, f"{name} must be a whole number, not {value!r}")


def _require_yes_or_no(settings: _Settings, *names: str) -> None:
    """Switches: "no" would count as yes."""
    for name in names:
        value = getattr(settings, name)
        _require(type(value) is bool, f"{name} must be true or false, not {value!r}")


def _require(ok: bool, problem: str) -> None:
    if not ok:
        raise KitError(problem, fix="correct the recipe's inference settings")


@dataclass(frozen=True, kw_only=True)
class SemanticSettings(_Settings):
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

    core: int | None = None
    context: int | None = None
    scale: float | None = None
    size: int | None = None
    pixel_size: float | None = None
    batch_size: int = 8
    blend: Literal["halo", "gaussian"] = "halo"
    skip_background: bool = False
    stored: Literal["uint16", "uint8"] = "uint16"
    autocast: bool = True

    def __post_init__(self) -> None:
        _require_whole(self, "core", "context", "size", "batch_size")
        _require_yes_or_no(self, "skip_background", "autocast")
        _require(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        _require(
            self.blend in ("halo", "gaussian"), f"blend {self.blend!r} is unknown; known: halo, gaussian"
        )
        _require(
            self.stored in ("uint16", "uint8"), f"stored {self.stored!r} is unknown; known: uint16, uint8"
        )
        if self.size is not None:
            self._check_whole(self.size)
        else:
            self._check_windows()

    def _check_whole(self, size: int) -> None:
        _require(size >= 1, f"size must be at least 1 pixel, not {size}")
        for name, plain in (
            ("core", None),
            ("context", None),
            ("scale", None),
            ("pixel_size", None),
            ("blend", "halo"),
            ("skip_background", False),
        ):
            _require(
                getattr(self, name) == plain, f"{name} belongs to windows; with size the image is seen whole"
            )

    def _check_windows(self) -> None:
        missing = [name for name in ("core", "context", "scale") if getattr(self, name) is None]
        _require(not missing, f"either size, or core, context and scale: {', '.join(missing)} missing")
        core, context, scale = self.windows
        _require(core >= 1, f"core must be at least 1 pixel, not {core}")
        _require(context >= 0, f"context cannot be negative: {context}")
        _require(
            math.isfinite(scale) and self.input_size >= 1,
            f"scale {scale} leaves nothing of a window of {self.window} pixels",
        )
        _require(
            self.pixel_size is None or (math.isfinite(self.pixel_size) and self.pixel_size > 0),
            f"pixel_size must be a positive number of micrometres, not {self.pixel_size}",
        )

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
class InstanceSettings(_Settings):
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

    size: int
    window: int | None = None
    overlap: int = 0
    score_threshold: float = 0.001
    nms_iou: float = 0.5
    max_per_image: int = 100
    mask_threshold: float = 0.5
    autocast: bool = False

    def __post_init__(self) -> None:
        _require_whole(self, "size", "window", "overlap", "max_per_image")
        _require_yes_or_no(self, "autocast")
        _require(self.size >= 1, f"size must be at least 1 pixel, not {self.size}")
        _require(
            self.window is None or self.window >= 1, f"window must be at least 1 pixel, not {self.window}"
        )
        _require(
            0 <= self.overlap <= (self.window or 0) // 2,
            f"overlap {self.overlap} is not from 0 to half the window ({self.window})",
        )
        _require(0 <= self.score_threshold < 1, f"score_threshold {self.score_threshold} is outside [0, 1)")
        _require(0 < self.nms_iou <= 1, f"nms_iou {self.nms_iou} is outside (0, 1]")
        _require(self.max_per_image >= 1, f"max_per_image must be at least 1, not {self.max_per_image}")
        _require(0 < self.mask_threshold < 1, f"mask_threshold {self.mask_threshold} is outside (0, 1)")


@dataclass(frozen=True, kw_only=True)
class SemanticFusion(_Settings):
    """How probability maps become a mask.

    Attributes:
        threshold: a pixel whose weighted mean probability reaches it is foreground; belongs to probabilities,
            never to logits.
        thresholds: by organ ("lung") or source and organ ("Hubmap/lung"), as the competition spells them,
            for images where another one is better; the more specific one applies.
    """

    threshold: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(0 < self.threshold < 1, f"threshold {self.threshold} is outside (0, 1)")
        _require(isinstance(self.thresholds, Mapping), f"thresholds are by name, not {self.thresholds!r}")
        for name, threshold in self.thresholds.items():
            _require(0 < threshold < 1, f"threshold {threshold} of {name!r} is outside (0, 1)")
            _require(
                all(name.split("/")) and name.count("/") <= 1,
                f"thresholds are by organ or source/organ, not by {name!r}",
            )

    def threshold_of(self, info: ImageInfo | None) -> float:
        """The threshold for an image: its source and organ's, else its organ's, else the common one."""
        if info is None or not info.organ:
            return self.threshold
        common = self.thresholds.get(info.organ, self.threshold)
        return self.thresholds.get(f"{info.source}/{info.organ}", common)


@dataclass(frozen=True, kw_only=True)
class InstanceFusion(_Settings):
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

    iou: float = 0.6
    skip_score: float = 0.01
    confidence: Confidence = "avg"
    masks: Literal["votes", "soft"] = "votes"
    vote_fraction: float = 0.2
    mask_threshold: float = 0.5
    morphology: Morphology = "closing"
    morphology_size: int = 3
    overlap: Overlap = "keep"
    min_area: int = 1
    min_score: float = 0.0
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_whole(self, "morphology_size", "min_area")
        _require(0 < self.iou <= 1, f"iou {self.iou} is outside (0, 1]")
        _require(0 <= self.skip_score <= 1, f"skip_score {self.skip_score} is outside [0, 1]")
        _require(0 <= self.min_score <= 1, f"min_score {self.min_score} is outside [0, 1]")
        _require(
            self.confidence in CONFIDENCES,
            f"confidence {self.confidence!r} is unknown; known: {', '.join(CONFIDENCES)}",
        )
        _require(self.masks in ("votes", "soft"), f"masks {self.masks!r} is unknown; known: votes, soft")
        _require(0 < self.mask_threshold <= 1, f"mask_threshold {self.mask_threshold} is outside (0, 1]")
        _require(0 <= self.vote_fraction <= 1, f"vote_fraction {self.vote_fraction} is outside [0, 1]")
        _require(
            self.morphology in ("none", "closing", "opening"),
            f"morphology {self.morphology!r} is unknown; known: none, closing, opening",
        )
        _require(
            self.morphology_size >= 1 and self.morphology_size % 2 == 1,
            f"morphology_size must be odd, not {self.morphology_size}",
        )
        _require(
            self.overlap in ("keep", "exclusive"),
            f"overlap {self.overlap!r} is unknown; known: keep, exclusive",
        )
        _require(self.min_area >= 1, f"min_area must be at least 1 pixel, not {self.min_area}")
        _require(isinstance(self.calibration, Mapping), f"calibration is by member, not {self.calibration!r}")
        for name, how in self.calibration.items():
            calibration.check(how, of=name)
