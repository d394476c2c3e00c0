"""Make what the slide benchmarks need: a slide of real tissue of any size, and a small trained network."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from benchmarks.child import ROOT
from kit import competitions
from kit.artefacts import sha256_file
from kit.ensemble import Member
from kit.images.reflection import reflected
from kit.images.slide import open_slide
from kit.inference.resize import resize_image, resize_mask
from kit.local.competitions.labelled import LabelledData
from kit.masks import rle
from kit.models import build, save_weights
from kit.predictions import SemanticMask

SAMPLE = ROOT / "sample" / "kidney"
TISSUE = 0.4
"""Share of the slide that is tissue."""
NETWORK = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "decoder_channels": [64, 32, 16, 8, 8],
}
"""The published kidney network, but with timm's smallest RegNetY and a decoder of a quarter of the width."""

_WAVES = 12
_BAND = 512


@dataclass(frozen=True)
class Windows:
    """The windows into which every way cuts a slide; the defaults were published for the kidney slides.

    Attributes:
        core: side of the square that a window predicts, in pixels of the slide.
        context: pixels around the core that the network sees, too, in pixels of the slide.
        scale: pixels of the network's input per pixel of the slide.
        batch_size: most windows that the network sees at once.
    """

    # With the defaults, along one axis:
    #
    #     |-- 384 --|------ core 1536 ------|-- 384 --|
    #                             |-- 384 --|------ core 1536 ------|-- 384 --|
    #
    # A window has 384 + 1536 + 384 = 2304 pixels, and the network sees it at a third, with 768. The next
    # window begins 1536 pixels further on the slide, which are 512 in the network's input.

    core: int = 1536
    context: int = 384
    scale: float = 1 / 3
    batch_size: int = 8

    @property
    def side(self) -> int:
        """Side of a window in pixels of the slide."""
        return self.core + 2 * self.context

    @property
    def input_side(self) -> int:
        """Side of a window in pixels of the network's input."""
        return round(self.side * self.scale)

    @property
    def stride(self) -> int:
        """Distance between windows in pixels of the network's input."""
        return round(self.core * self.scale)


def write_slide(path: Path, side: int, *, seed: int = 0) -> None:
    """Write a slide like Kaggle's kidney files: not compressed, one plane per colour.

    The training regions of the sample stand side by side and are mirrored as often as needed. They show in
    islands with smooth outlines. Around the islands and along the border is bright background with noise
    like a scanner's.

    Args:
        path: of the TIFF.
        side: number of rows and of columns.
        seed: of the shapes of the islands.
    """
    import tifffile

    regions = [_region(image_id) for image_id in _train_ids()]
    rows = min(len(region) for region in regions)
    tissue_HWC = np.concatenate([region[:rows] for region in regions], axis=1)
    columns = reflected(0, side, tissue_HWC.shape[1])
    random = np.random.default_rng(seed)
    noise_HWC = random.integers(238, 247, (_BAND, side, 3), np.uint8)
    islands = _Islands(side, random)
    # The file is written in bands of `_BAND` rows through a memory map: a slide of 30000 x 30000 has 2.7 GB.
    slide_CHW: Any = tifffile.memmap(
        path, shape=(3, side, side), dtype=np.uint8, photometric="rgb", planarconfig="separate"
    )
    for y0 in range(0, side, _BAND):
        y1 = min(y0 + _BAND, side)
        inside_HW = islands.band(y0, y1)
        picked = reflected(y0, y1, rows)
        for channel in range(3):
            plane_HW = tissue_HWC[picked, :, channel][:, columns]
            slide_CHW[channel, y0:y1] = np.where(inside_HW, plane_HW, noise_HWC[: y1 - y0, :, channel])
    slide_CHW.flush()


class _Islands:
    """The places with tissue: a sum of plane waves is above a level there.

    The level leaves the share `TISSUE` of the slide above it. `_wall` keeps the border free of tissue.
    """

    def __init__(self, side: int, random: np.random.Generator) -> None:
        self._side = side
        angles, phases = random.uniform(0, 2 * math.pi, (2, _WAVES))
        lengths = random.uniform(0.4, 0.9, _WAVES)
        self._y, self._x = 2 * math.pi * np.array([np.sin(angles), np.cos(angles)]) / lengths
        self._phases = phases
        # The slide is the unit square here, whatever its side: a grid of 200 x 200 points is enough to find
        # the level.
        coarse = np.linspace(0, 1, 200, dtype=np.float32)
        self._level = float(np.quantile(self._heights(coarse, coarse), 1 - TISSUE))

    def band(self, y0: int, y1: int) -> NDArray[np.bool_]:
        """Return the rows y0 to y1 - 1, bool (y1 - y0, side); True is tissue."""
        inside: NDArray[np.bool_] = self._heights(self._at(y0, y1), self._at(0, self._side)) > self._level
        return inside

    def _at(self, start: int, stop: int) -> NDArray[np.float32]:
        return ((np.arange(start, stop) + 0.5) / self._side).astype(np.float32)

    def _heights(self, y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sum of the waves and the walls at each pair of y and x, float32 (len(y), len(x))."""
        # A wave is cos(a + b), where a depends on y and b on x. cos(a + b) = cos a * cos b - sin a * sin b is
        # a sum of products of something of y with something of x, so all waves together are one matrix
        # product:
        #
        #     left  (len(y), 26): 12 times cos a, 12 times -sin a, wall(y), 1
        #     right (len(x), 26): 12 times cos b, 12 times  sin b, 1,       wall(x)
        down, across = np.outer(y, self._y).astype(np.float32), np.outer(x, self._x) + self._phases
        left = np.concatenate(
            [np.cos(down), -np.sin(down), _wall(y)[:, None], np.ones_like(y)[:, None]], axis=1
        )
        right = np.concatenate(
            [np.cos(across), np.sin(across), np.ones_like(x)[:, None], _wall(x)[:, None]], axis=1
        )
        heights: NDArray[np.float32] = left @ right.astype(np.float32).T
        return heights


def _wall(at: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a number far below every wave at the border (0 and 1), and nearly 0 away from it."""
    # -100 at 0; at 0.05 the base is 0.9, and 0.9 ** 40 = 0.015 gives -1.5; at 0.1 it is 0.8 ** 40 and gives
    # -0.013.
    return (-100 * np.abs(2 * at - 1) ** 40).astype(np.float32)


def train_network(folder: Path, windows: Windows, *, steps: int = 80, crop: int = 128) -> Member:
    """Train the small network on the sample for some seconds.

    Args:
        folder: where the weights go.
        windows: the network is trained at their scale and predicts with them.
        steps: number of steps with eight crops each.
        crop: side of a crop in pixels of the network's input.

    Returns:
        The member of an ensemble that the engine takes.
    """
    # Why train at all? Random weights give masks like noise: millions of short runs, which no real mask has,
    # and which make run lengths and the comparison of masks slow and meaningless. 80 steps are enough for
    # masks of blobs. Two of eight crops are background, so that the network learns that the bright areas are
    # empty.
    torch.manual_seed(0)
    pairs = [_scaled(image_id, windows.scale) for image_id in _train_ids()]
    module: Any = build(NETWORK).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    random = np.random.default_rng(0)
    for _ in range(steps):
        crops = [_crop(*pairs[number % len(pairs)], crop, random) for number in range(6)]
        crops += [_background(crop, random), _background(crop, random)]
        x_NCHW = torch.from_numpy(np.stack([image for image, _ in crops])).permute(0, 3, 1, 2)
        y_NHW = torch.from_numpy(np.stack([mask for _, mask in crops])).float()
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(module(x_NCHW)[:, 0], y_NHW)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it open
        optimiser.step()
        schedule.step()
    path = folder / "small.safetensors"
    save_weights(module, path)
    return Member(
        name="small",
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=NETWORK,
        inference=asdict(windows),
        requires=[],
    )


def _train_ids() -> list[str]:
    return LabelledData(competitions.get("kidney"), SAMPLE).train_ids()


def _region(image_id: str) -> NDArray[np.uint8]:
    with open_slide(competitions.get("kidney").image_path(SAMPLE, image_id, "train")) as slide:
        return slide.read_band(0, slide.height)


def _scaled(image_id: str, scale: float) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a training region, uint8 (h, w, 3), and its mask, bool (h, w), at the network's resolution."""
    image_HWC = _region(image_id)
    truth = LabelledData(competitions.get("kidney"), SAMPLE).truth([image_id])[image_id]
    assert isinstance(truth, SemanticMask)
    mask_HW = rle.decode(truth.runs, truth.height, truth.width)
    height, width = (int(side * scale + 0.5) for side in mask_HW.shape)
    return resize_image(image_HWC, height, width), resize_mask(mask_HW, height, width, 0.5)


def _crop(
    image_HWC: NDArray[np.uint8], mask_HW: NDArray[np.bool_], side: int, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a random square of an image and of its mask, both with the same random quarter turns."""
    top, left = (int(random.integers(0, size - side + 1)) for size in mask_HW.shape)
    turns = int(random.integers(4))
    part = (slice(top, top + side), slice(left, left + side))
    return np.rot90(image_HWC[part], turns), np.rot90(mask_HW[part], turns)


def _background(side: int, random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    return random.integers(238, 247, (side, side, 3), np.uint8), np.zeros((side, side), bool)
