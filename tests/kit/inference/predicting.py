"""Images and their maps, from the engine's own front door."""

import numpy as np
import torch

from kit.ensemble import Member
from kit.inference.image_pass import ImagePass
from kit.inference.semantic import predict_map
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import levels_of, open_map
from tests.kit.inference.sources import ArraySource

CPU = torch.device("cpu")
MEMBER = Member(name="m", weights="w", sha256="0", size=1, network={}, inference={}, requires=[])


def image(height, width):
    """Noise, always the same at one size."""
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def image_pass(source, target=None, view="identity", **more):
    """A pass over an array or another source of bands, on the CPU."""
    return ImagePass(
        **{"member": MEMBER, "device": CPU, "where": "member m, image i", **more},
        view=view,
        source=ArraySource(source) if isinstance(source, np.ndarray) else source,
        target=target,
    )


def predict(
    tmp_path,
    source,
    module,
    output="logit",
    *,
    view="identity",
    on_batch=None,
    on_skipped=None,
    info=None,
    confident=None,
    **settings,
):
    """The map of an array or another source of bands as probabilities; windows of 24 unless told."""
    windows = {} if "size" in settings else {"core": 16, "context": 4, "scale": 1.0}
    plan = SemanticSettings(**{**windows, "batch_size": 3, **settings})
    target = tmp_path / "map.npy"
    asked = image_pass(source, target, view, on_batch=on_batch, on_skipped=on_skipped, info=info)
    predict_map(module, output, plan, asked, confident)
    levels_HW = np.array(open_map(target))
    return levels_HW / levels_of(levels_HW.dtype)
