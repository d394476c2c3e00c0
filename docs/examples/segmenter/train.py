"""Train the segmenter on each fold of the prepared data: a training of one's own, without the kit.

    python train.py --data sample/kidney --prepared work/tumour-regions --out weights [--steps 150]

It writes weights/fold0.safetensors, weights/fold1.safetensors, ...
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import tifffile
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from tumour_segmenter import TumourSegmenter, dice_loss

CROP, BATCH = 256, 4


def read_image(path):
    """RGB, uint8 (H, W, 3), whatever axes the TIFF has: those of colour come last."""
    image = np.squeeze(tifffile.imread(path))
    return np.moveaxis(image, 0, -1) if image.shape[0] == 3 else image


def read_mask(text, height, width):
    """A mask, bool (H, W), of "start length start length ...", counted from 1 down the columns."""
    numbers = np.array(text.split(), int).reshape(-1, 2)
    flat = np.zeros(height * width, bool)
    for start, length in numbers:
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(width, height).T


def load(data):
    """Id -> image and mask, of all labelled images."""
    csv.field_size_limit(1 << 30)
    found = {}
    with (data / "train.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            image = read_image(data / "train" / f"{row['id']}.tiff")
            found[row["id"]] = image, read_mask(row["encoding"], *image.shape[:2])
    return found


def batch_of(images, ids, random, scale):
    """Random crops at the resolution that the model sees: float (N, 3, h, w), float (N, 1, h, w)."""
    inputs, masks = [], []
    for _ in range(BATCH):
        image, mask = images[ids[random.integers(len(ids))]]
        y, x = (random.integers(side - CROP + 1) for side in mask.shape)
        turns, flip = random.integers(4), random.integers(2)
        image = np.rot90(image[y : y + CROP, x : x + CROP], turns)[:, :: 1 - 2 * flip]
        mask = np.rot90(mask[y : y + CROP, x : x + CROP], turns)[:, :: 1 - 2 * flip]
        inputs.append(torch.from_numpy(image.copy()).permute(2, 0, 1).float())
        masks.append(torch.from_numpy(mask.copy())[None].float())
    side = int(CROP * scale)
    x = F.interpolate(torch.stack(inputs), side, mode="area")
    return coloured(x, random), F.interpolate(torch.stack(masks), side)


def coloured(x, random):
    """Return a batch (N, 3, h, w), 0..255, in other colours: the held-out slide has a stain of its own."""

    def draw(low, high, channels=1):
        return torch.from_numpy(random.uniform(low, high, (len(x), channels, 1, 1))).float()

    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * draw(0.3, 1.7)
    mean = x.mean((2, 3), keepdim=True)
    x = mean + (x - mean) * draw(0.6, 1.5)
    return (x + draw(-35, 35, 3) + draw(-25, 25)).clamp(0, 255)


def train(images, ids, steps, seed):
    """A model that has seen the images of some ids only."""
    torch.manual_seed(seed)
    random, model = np.random.default_rng(seed), TumourSegmenter()
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (model.mean, model.std))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        x, truth = batch_of(images, ids, random, model.scale)
        logit = model((x - mean) / std)
        loss = F.binary_cross_entropy_with_logits(logit, truth) + dice_loss(logit, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return model


def main():
    """Read the folds of `prepare`, so that each model is scored on images that it never saw."""
    parser = argparse.ArgumentParser()
    for name in ("--data", "--prepared", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)  # equal weights on every machine
    images = load(options.data)
    options.out.mkdir(parents=True, exist_ok=True)
    for fold in json.loads((options.prepared / "prepared.json").read_text())["folds"]:
        model = train(images, fold["train"], options.steps, seed=fold["index"])
        save_file(model.state_dict(), options.out / f"fold{fold['index']}.safetensors")


if __name__ == "__main__":
    main()
