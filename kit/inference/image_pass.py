"""One pass over one image, as `kit.inference.runner` gives it to the engine of the ensemble's kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kit.ensemble import Member
from kit.images.info import ImageInfo

if TYPE_CHECKING:
    import torch  # which fusing, in the same modules, does not need

    from kit.inference.band_source import BandSource

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ImagePass:
    """One member under one view over one open image. An engine takes of it what its kind has.

    Attributes:
        member: the member; its settings say how it sees an image.
        view: name of a view, or of a set of views whose results are merged.
        source: the open image, RGB uint8.
        target: the file to write; it appears when it is complete.
        device: of the network.
        where: member, view and image, for messages.
        batch_size: replaces that of the settings (semantic only).
        info: what is known of the image; its pixel size is used if the settings have one (semantic only).
        confident: file with the image's confident blocks (semantic only).
        on_batch: called with (done, total) tiles after every forward pass. A tile is a window; of values it
            is the image under one view.
        on_skipped: called once with (tiles without tissue, all tiles) if the settings skip background
            (semantic only).
        on_left: called once with the share of the windows that is looked at, if blocks were read.
    """

    member: Member
    view: str
    source: BandSource
    target: Path
    device: torch.device
    where: str
    batch_size: int | None = None
    info: ImageInfo | None = None
    confident: Path | None = None
    on_batch: Progress | None = None
    on_skipped: Progress | None = None
    on_left: Callable[[float], None] | None = None
