"""Instances of three classes: connected pixels of a colour, with the colours in a JSON file."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch


class ShapeObjects:
    kind = "instance"
    size = 96

    def load(self, path):
        self.colours = json.loads(Path(path).read_text())["colours"]

    def __call__(self, x):
        """A dict of boxes, scores, masks and labels for each image of (N, 3, H, W)."""
        found = [self.found(image.permute(1, 2, 0).cpu().numpy()) for image in x]
        return [{name: value.to(x.device) for name, value in item.items()} for item in found]

    def found(self, image):
        boxes, scores, masks, labels = [], [], [], []
        for label, colour in enumerate(self.colours):
            near = (np.abs(image - np.float32(colour)).max(axis=2) < 60).astype(np.uint8)
            count, numbers, places, _ = cv2.connectedComponentsWithStats(near, connectivity=4)
            for number in range(1, count):
                left, top, width, height, area = places[number].tolist()
                boxes.append([left, top, left + width, top + height])
                masks.append(numbers == number)
                off = float(np.abs(image[numbers == number] - np.float32(colour)).mean())
                scores.append(area / (area + 20 + off))
                labels.append(label)
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "scores": torch.tensor(scores, dtype=torch.float32),
            "masks": torch.from_numpy(np.array(masks, bool).reshape(-1, *image.shape[:2])),
            "labels": torch.tensor(labels, dtype=torch.int64),
        }
