"""What the semantic engine is told, as plain dicts in `ensemble.json`.

`Member.inference` holds `SemanticSettings`, `Rung.settings` holds `SemanticFusion`. `kit.typed_json` checks
types and limits of fields; rules across fields are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.typed_json import Checked, above, at_least, below

Count = Annotated[int, at_least(1)]
Probability = Annotated[float, above(0), below(1)]

_FIX = "correct the recipe's inference settings"


@dataclass(frozen=True, kw_only=True)
class SemanticSettings(Checked):
    """How a semantic network sees an image: in windows (`core`, `context`, `scale`) or at once (`size`).

    In windows: the image is cut into square cores. Each one is predicted from a window with `context` more
    pixels on every side, mirrored outside the image, and resized by `scale` to the network's input.
    Published: kidney 2nd place core 1536, context 384, scale 1/3 (windows of 2304 pixels, seen as 768 x 768).

    At once: the longer side is resized to `size`, and the ratio is kept. The image has to fit into memory.
    Published: body 1st place, three sizes.

    Attributes:
        core: pixels per side, full resolution.
        context: pixels on each side of the core, full resolution.
        scale: network input pixels per full-resolution pixel.
        size: longer side of the image at the network's input, pixels.
        pixel_size: micrometres of a full-resolution pixel for which core, context and scale hold. An image of
            another pixel size is cut into windows of the same micrometres, and the network's input keeps its
            size. If this or the image's pixel size is None, core and context are used as they are.
        batch_size: windows in one forward pass, fewer on the CPU; halved when memory runs out.
        blend: "halo" uses the cores only. "gaussian" uses the mean of all windows that show a pixel, weighted
            by a normal density around each window's centre, sigma an eighth of the window (nnU-Net).
        skip_background: cores without tissue get probability 0, and the network does not see them.
        stored: "uint16", or "uint8": half the disk space, probabilities exact to 1/510.
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
            raise KitError(
                f"{given[0]} belongs to windows, but with size the image is seen at once", fix=_FIX
            )

    def _check_windows(self) -> None:
        if missing := [name for name in ("core", "context", "scale") if getattr(self, name) is None]:
            problem = f"give either size, or core, context and scale; missing: {', '.join(missing)}"
            raise KitError(problem, fix=_FIX)
        if self.input_size < 1:
            raise KitError(f"scale {self.scale} leaves nothing of a window of {self.window} pixels", fix=_FIX)

    @property
    def windows(self) -> tuple[int, int, float]:
        """Core, context and scale of settings with windows."""
        assert self.core is not None and self.context is not None and self.scale is not None, "seen at once"  # noqa: PT018  # one fact
        return self.core, self.context, self.scale

    @property
    def window(self) -> int:
        """Pixels per side of a window at full resolution."""
        core, context, _ = self.windows
        return core + 2 * context

    @property
    def input_size(self) -> int:
        """Pixels per side of the network's input under a view of scale 1."""
        return int(self.window * self.windows[2] + 0.5)


@dataclass(frozen=True, kw_only=True)
class SemanticFusion(Checked):
    """How probability maps become a mask.

    Attributes:
        threshold: a pixel is foreground if its weighted mean probability (not logit) reaches this.
        thresholds: other thresholds by organ ("lung") or source and organ ("Hubmap/lung"), spelled as in the
            competition; the more specific one applies.
    """

    threshold: Probability = 0.5
    thresholds: Mapping[str, Probability] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.thresholds:
            if not all(name.split("/")) or name.count("/") > 1:
                raise KitError(f"thresholds are by organ or source/organ, not by {name!r}", fix=_FIX)

    def threshold_of(self, info: ImageInfo | None) -> float:
        """Return the threshold of an image: of its source and organ, else its organ, else the common one."""
        if info is None or not info.organ:
            return self.threshold
        common = self.thresholds.get(info.organ, self.threshold)
        return self.thresholds.get(f"{info.source}/{info.organ}", common)
