"""What the slide benchmarks run on: a slide of real tissue of any size, and a small trained network."""

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
"""Part of the slide that is tissue."""
NETWORK = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "decoder_channels": [64, 32, 16, 8, 8],
}
"""The published kidney network, with timm's smallest RegNetY and a quarter of the decoder's width."""

_WAVES = 12
_BAND = 512


@dataclass(frozen=True)
class Windows:
    """How every way looks at the slide; by default as published for the kidney slides.

    Attributes:
        core: pixels a side that a window decides, at full resolution.
        context: pixels around it.
        scale: pixels at the network's input per pixel of the slide.
        batch_size: windows that the network sees at once, or the most of them.
    """

    core: int = 1536
    context: int = 384
    scale: float = 1 / 3
    batch_size: int = 8

    @property
    def side(self) -> int:
        """Pixels that a window reads."""
        return self.core + 2 * self.context

    @property
    def input_side(self) -> int:
        """Pixels that the network sees of it."""
        return round(self.side * self.scale)

    @property
    def stride(self) -> int:
        """Pixels between windows at the network's resolution."""
        return round(self.core * self.scale)


def write_slide(path: Path, side: int, *, seed: int = 0) -> None:
    """Write a slide like Kaggle's kidney files: raw, one plane a colour.

    Tissue is the sample's training regions side by side, mirrored as often as needed, in islands with smooth
    outlines; around them, and along the border, is bright background with a scanner's noise.

    Args:
        path: of the TIFF.
        side: rows and columns.
        seed: of the islands.
    """
    import tifffile

    regions = [_region(image_id) for image_id in _train_ids()]
    rows = min(len(region) for region in regions)
    tissue_HWC = np.concatenate([region[:rows] for region in regions], axis=1)
    columns = reflected(0, side, tissue_HWC.shape[1])
    random = np.random.default_rng(seed)
    noise_HWC = random.integers(238, 247, (_BAND, side, 3), np.uint8)
    islands = _Islands(side, random)
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
    """Where tissue is: a sum of plane waves above the level that leaves `TISSUE` of the slide."""

    def __init__(self, side: int, random: np.random.Generator) -> None:
        self._side = side
        angles, phases = random.uniform(0, 2 * math.pi, (2, _WAVES))
        lengths = random.uniform(0.4, 0.9, _WAVES)
        self._y, self._x = 2 * math.pi * np.array([np.sin(angles), np.cos(angles)]) / lengths
        self._phases = phases
        coarse = np.linspace(0, 1, 200, dtype=np.float32)
        self._level = float(np.quantile(self._heights(coarse, coarse), 1 - TISSUE))

    def band(self, y0: int, y1: int) -> NDArray[np.bool_]:
        """Rows y0..y1, (y1 - y0, side)."""
        inside: NDArray[np.bool_] = self._heights(self._at(y0, y1), self._at(0, self._side)) > self._level
        return inside

    def _at(self, start: int, stop: int) -> NDArray[np.float32]:
        return ((np.arange(start, stop) + 0.5) / self._side).astype(np.float32)

    def _heights(self, y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """cos(a + b) = cos a cos b - sin a sin b, so that waves in the plane are one matrix product."""
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
    """Far below every wave at the border (0 and 1), next to nothing a twentieth away from it."""
    return (-100 * np.abs(2 * at - 1) ** 40).astype(np.float32)


def train_network(folder: Path, windows: Windows, *, steps: int = 80, crop: int = 128) -> Member:
    """Train the small network on the sample for some seconds, so that its masks look like masks.

    Args:
        folder: where its weights go.
        windows: crops are seen at their scale.
        steps: of eight crops each.
        crop: pixels a side, at the network's input.

    Returns:
        The member, which predicts with these windows.
    """
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
    """A training region and its mask at the network's resolution."""
    image_HWC = _region(image_id)
    truth = LabelledData(competitions.get("kidney"), SAMPLE).truth([image_id])[image_id]
    assert isinstance(truth, SemanticMask)
    mask_HW = rle.decode(truth.runs, truth.height, truth.width)
    height, width = (int(side * scale + 0.5) for side in mask_HW.shape)
    return resize_image(image_HWC, height, width), resize_mask(mask_HW, height, width, 0.5)


def _crop(
    image_HWC: NDArray[np.uint8], mask_HW: NDArray[np.bool_], side: int, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A random square, turned at random."""
    top, left = (int(random.integers(0, size - side + 1)) for size in mask_HW.shape)
    turns = int(random.integers(4))
    part = (slice(top, top + side), slice(left, left + side))
    return np.rot90(image_HWC[part], turns), np.rot90(mask_HW[part], turns)


def _background(side: int, random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    return random.integers(238, 247, (side, side, 3), np.uint8), np.zeros((side, side), bool)
