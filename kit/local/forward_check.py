"""Run a member's network on tensors without values: does it take the inputs of its settings, at which cost.

One forward pass answers both, so the cost of a member that was checked is known at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from kit.artefacts import canonical_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference import views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.layout import layout
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.values_settings import VALUES_SIDE, ValuesSettings
from kit.local.estimate import count_flops, predict
from kit.models import build, spec_of
from kit.models.registry import OWN, sized
from kit.typed_json import from_plain

LARGEST_BATCH = 1 << 28
"""Most pixels of a batch: sixty times the largest published."""


@dataclass(frozen=True)
class Inputs:
    """A batch that a member's network sees.

    Attributes:
        batch: images or windows.
        height: rows at the network's input.
        width: columns at the network's input.
    """

    batch: int
    height: int
    width: int


@dataclass(frozen=True)
class Forward:
    """What a forward pass on tensors without values tells.

    Attributes:
        flops: floating point operations of the batch, counted as `kit.local.estimate.Estimate` says; of a
            pass with a fault, those up to it.
        fault: what is wrong with it, None if nothing is.
    """

    flops: int
    fault: str | None


def inputs_of(member: Member, scales: tuple[float, ...], where: str) -> list[Inputs]:
    """Return the batch that a member's settings give at each scale of views; of an image at once a square.

    Raises:
        KitError: the settings cannot be, or the batch is larger than any memory.
    """
    kind = spec_of(member.network).kind
    if kind == "values":
        size = from_plain(ValuesSettings, member.inference, where=where).size or VALUES_SIDE
        found = [Inputs(1, *[max(1, int(size * scale + 0.5))] * 2) for scale in scales]
    elif kind == "instance":
        settings = from_plain(InstanceSettings, member.inference, where=where)
        sides = [max(1, int(settings.size * scale + 0.5)) for scale in scales]
        found = [Inputs(1, side, side) for side in sides]
    else:
        semantic = from_plain(SemanticSettings, member.inference, where=where)
        side = semantic.size or semantic.window
        plan = layout(semantic, scales, (side, side), pixel_size=None, where=where)
        found = [Inputs(semantic.batch_size, height, width) for height, width in plan.inputs]
    for item in found:
        if item.batch * item.height * item.width > LARGEST_BATCH:
            raise KitError(
                f"{member.name} asks for batches of {item.batch} inputs of {item.height} x {item.width} "
                "pixels, more than any memory holds",
                where=where,
                fix="correct batch_size, size, scale or the views in the recipe's inference settings",
            )
    return found


@cache
def forward(network: str, inputs: Inputs) -> Forward:
    """Run a network on a batch without values.

    Args:
        network: what `kit.models.build` takes, as canonical JSON (`kit.artefacts.canonical_json`).
        inputs: the batch.

    Raises:
        KitError: the network is unknown or cannot be built.
    """
    config, pixels = json.loads(network), inputs.batch * inputs.height * inputs.width
    if config["network"] == OWN:
        # `add-model` has run it on images: a class of the user's may look at values, which are absent here.
        return Forward(int(sized(config)[1].flops * pixels / 1e6), None)
    with torch.device("meta"):
        module = build(config).eval()
    counter, fault = count_flops(), None
    batch, height, width = inputs.batch, inputs.height, inputs.width
    made: Any = None
    try:
        # Non-fake inputs: the anchors of a detector are real tensors, made when the network is built.
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), counter:
            module.to_empty(device="cpu")
            made = predict(module, torch.empty(batch, 3, height, width))
    except KitError as error:
        fault = error.problem
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AssertionError) as error:
        fault = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(made, Tensor) and tuple(made.shape) != (batch, 1, height, width):
        fault = f"it returns {tuple(made.shape)} instead of {(batch, 1, height, width)}"
    return Forward(counter.get_total_flops(), fault)


def flops_per_megapixel(member: Member, view: str, size: tuple[int, int]) -> float:
    """Return the floating point operations of a pass per megapixel of an image.

    It depends on network, settings and view alone, so it is equal on every machine and in every run. Windows
    without tissue count like others, and reading, resizing and writing count nothing.

    A network of 100 GFLOP for 768 x 768 pixels sees windows of 2304 pixels with a core of 1536: each core has
    2.36 megapixels, so a megapixel takes 42 GFLOP. A network that sees an image of 1500 x 3000 at once, its
    longer side as 960 pixels, does half the work of 960 x 960 for 4.5 megapixels.

    Args:
        member: its network and settings.
        view: name of a view or of a set of views; each view of a set counts.
        size: (height, width) of the image.

    Raises:
        KitError: network, settings or view cannot be.
    """
    scales = tuple(shown.scale for shown in views.get_set(view))
    total = 0.0
    for inputs in inputs_of(member, scales, member.name):
        done = forward(canonical_json(member.network), inputs)
        total += done.flops / inputs.batch
    return total * _inputs_of_megapixel(member, size)


def _inputs_of_megapixel(member: Member, size: tuple[int, int]) -> float:
    """Return how many inputs of the network a megapixel of an image takes."""
    height, width = size
    kind, side = spec_of(member.network).kind, None
    if kind == "instance":
        settings = from_plain(InstanceSettings, member.inference, where=member.name)
        side = None if settings.window is None else settings.window - settings.overlap
        if settings.window is not None and max(size) <= settings.window:
            side = None
    elif kind == "semantic":
        side = from_plain(SemanticSettings, member.inference, where=member.name).core
    if side is not None:
        return 1e6 / side**2
    # The inputs above are squares; of an image half as high as wide, the network sees half of one.
    return min(size) / max(size) * 1e6 / (height * width)
