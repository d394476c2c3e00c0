"""Train the classifier on each fold of the prepared data: a training of one's own, without the kit.

    python train.py --data work/crowded-tiles-data --prepared work/crowded-tiles --out weights [--epochs 30]

It writes weights/fold0.pt, weights/fold1.pt, ...: state dicts as torch.save writes them.
"""

import argparse
import csv
import json
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch
from crowd_classifier import CrowdClassifier
from torch.nn import functional as F

BATCH = 16


def load(data, size):
    """Id -> image of the size that the model sees, and its label."""
    found = {}
    with (data / "train.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            image = tifffile.imread(data / "train" / f"{row['id']}.tif")
            scale = size / max(image.shape)
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            found[row["id"]] = image, float(row["crowded"])
    return found


def batch_of(images, ids, random):
    """Flipped images, float (N, 3, H, W), and their labels."""
    turned = [images[key][0][:: random.choice((1, -1)), :: random.choice((1, -1))] for key in ids]
    x = torch.from_numpy(np.stack(turned)).permute(0, 3, 1, 2).float()
    return x, torch.tensor([images[key][1] for key in ids])


def train(images, ids, epochs, seed):
    """A model that has seen the images of some ids only."""
    torch.manual_seed(seed)
    random, model = np.random.default_rng(seed), CrowdClassifier()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(epochs):
        model.train()
        losses = []
        order = random.permutation(ids)
        for first in range(0, len(order) - BATCH + 1, BATCH):
            x, truth = batch_of(images, order[first : first + BATCH], random)
            # 0.05 and 0.95: after 40 looks at 70 tiles it would be sure of all, and log loss punishes that.
            loss = F.binary_cross_entropy_with_logits(model(x), 0.05 + 0.9 * truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        schedule.step()
        if epoch % 10 == 0 or epoch == epochs - 1:
            print(f"epoch {epoch}: loss {np.mean(losses):.3f}", flush=True)
    return model


def main():
    """Read the folds of `prepare`, so that each model is scored on images that it never saw."""
    parser = argparse.ArgumentParser()
    for name in ("--data", "--prepared", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)  # equal weights on every machine
    images = load(options.data, CrowdClassifier.size)
    options.out.mkdir(parents=True, exist_ok=True)
    for fold in json.loads((options.prepared / "prepared.json").read_text())["folds"]:
        model = train(images, fold["train"], options.epochs, seed=fold["index"])
        torch.save(model.state_dict(), options.out / f"fold{fold['index']}.pt")


if __name__ == "__main__":
    main()
