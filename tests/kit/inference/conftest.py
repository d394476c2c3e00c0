"""Small real networks whose right answer is known, behind the same doors as the registered ones."""

from __future__ import annotations

import resource
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import torch

from kit.models import Detections, InstanceNetwork, NetworkSpec, SemanticNetwork

SPEC = {"system": "test", "mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0), "requires": ()}
SEMANTIC = NetworkSpec(name="smoother", kind="semantic", output="logit", size_divisor=1, **SPEC)
INSTANCE = NetworkSpec(name="blobs", kind="instance", output="detections", size_divisor=1, **SPEC)


class Smoother(torch.nn.Module):
    """Two fixed 3x3 convolutions without padding, so that only real context counts: receptive field 5."""

    REACH = 2

    def __init__(self, channels: int = 1, largest_batch: int | None = None):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.first = torch.nn.Conv2d(3, 4, 3)
        self.second = torch.nn.Conv2d(4, channels, 3)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.largest_batch = largest_batch
        self.batches: list[int] = []

    def forward(self, x_NCHW):
        self.batches.append(len(x_NCHW))
        if self.largest_batch is not None and len(x_NCHW) > self.largest_batch:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        valid = self.second(torch.tanh(self.first(x_NCHW)))
        return torch.nn.functional.pad(valid, (self.REACH,) * 4)


@pytest.fixture
def semantic():
    """Makes a `Smoother` behind the door of semantic networks."""
    return lambda **options: SemanticNetwork(SEMANTIC, Smoother(**options)).eval()


class Colours(torch.nn.Module):
    """Looks at each pixel by itself: its map moves with the image, whatever the symmetry."""

    def forward(self, x_NCHW):
        return 4 * x_NCHW.mean(1, keepdim=True) - 2


@pytest.fixture
def colours():
    return SemanticNetwork(SEMANTIC, Colours()).eval()


class Blobs(InstanceNetwork):
    """Every connected bright region is an instance; its score grows with its area."""

    def __init__(self, spec: NetworkSpec = INSTANCE):
        super().__init__(spec, torch.nn.Identity())

    def losses(self, x_NCHW, targets):
        raise AssertionError("not trained")

    def detect(self, x_NCHW):
        found = []
        for x_CHW in x_NCHW.float():
            bright_HW = (x_CHW.mean(0) > 127).numpy().astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(bright_HW, connectivity=4)
            rows = stats[1:count].astype(np.float32)
            boxes = np.stack([rows[:, 0], rows[:, 1], rows[:, 0] + rows[:, 2], rows[:, 1] + rows[:, 3]], 1)
            masks = np.stack([labels == label for label in range(1, count)]) if count > 1 else None
            found.append(
                Detections(
                    torch.from_numpy(boxes.reshape(-1, 4)),
                    torch.from_numpy(rows[:, 4] / bright_HW.size),
                    torch.zeros((0, *bright_HW.shape), dtype=torch.bool)
                    if masks is None
                    else torch.from_numpy(masks),
                )
            )
        return found


@pytest.fixture
def blobs():
    return Blobs()


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def disk_of():
    """A context in which every file may grow to this size only: what a full disk does to a writer."""

    @contextmanager
    def limited(largest):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
