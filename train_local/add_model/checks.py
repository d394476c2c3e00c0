"""Run a model of one's own on a few real images, with an error for everything that may be wrong with it.

The engine would find most of it, too, but after an hour, on some image, and without the user's line.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kit.competitions.definition import Definition
from kit.ensemble import Member
from kit.errors import KitError
from kit.images.image_protocols import Reading
from kit.inference import values_engine, views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.resize import fit, resize_image
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.values_settings import ValuesSettings
from kit.local.console import console
from kit.local.estimate import count_flops
from kit.local.wording import counted
from kit.models import Detections, InstanceNetwork, Network
from kit.models.own import OwnSemantic, OwnValues
from kit.typed_json import from_plain
from train_local.add_model.loading import in_user_code
from train_local.data.prepared import Prepared

Shown = Callable[[int | None, int | None], list[NDArray[np.uint8]]]
"""Takes the side of a window (None: the whole image) and the longer side at the input; returns the images."""
_IMAGES = 2
_AGREE = 1e-3
"""Largest difference between an image alone and in a batch: sums in another order, no more."""
_SUM = 1e-2
"""How far the sum of a softmax may be from 1, in 16 bits."""


@dataclass(frozen=True)
class User:
    """Where the user's code lies, for messages.

    Attributes:
        shown: the user's file or package.
        folder: of the copy that is run.
        name: of the class.
    """

    shown: Path
    folder: Path
    name: str

    def calls(self, method: str) -> contextlib.AbstractContextManager[None]:
        """Tell what a method of the class raises with its line."""
        return in_user_code(f"{self.name}.{method}", self.shown, self.folder)

    def error(self, problem: str, fix: str) -> KitError:
        """Return an error about the class."""
        return KitError(problem, where=f"{self.shown}, class {self.name}", fix=fix)


def check_model(
    module: Network, member: Member, prepared: Prepared, user: User, device: torch.device
) -> float:
    """Predict parts of a few images.

    Args:
        module: with its weights, in eval mode on the device.
        member: that it makes.
        prepared: where the images are; the smallest ones are taken.
        user: whose class it is.
        device: of the module.

    Returns:
        Floating point operations of an input of one megapixel; 0 if torch counted none.

    Raises:
        KitError: the class does not do what it declares.
    """
    _check_parameters(module, user)
    images = prepared.images
    smallest = sorted(images, key=lambda key: (images[key].height * images[key].width, key))[:_IMAGES]
    # Two of the smallest: what a model does wrong, it does to every image.
    paths, reading = [prepared.image_path(key) for key in smallest], prepared.source.reading
    shown = partial(_shown, paths, reading)
    with torch.inference_mode():
        if isinstance(module, OwnValues):
            return _values(module, member, paths, prepared, user)
        if isinstance(module, InstanceNetwork):
            return _instances(module, member, shown, user, device)
        assert isinstance(module, OwnSemantic), "the three kinds of adapters"
        return _semantic(module, member, shown, user, device)


def _check_parameters(module: Network, user: User) -> None:
    model: Any = module.model
    if not isinstance(model, nn.Module):
        return
    bad = [name for name, value in model.state_dict().items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise user.error(
            f"after loading, values are not numbers in {counted(len(bad), 'tensor')}: {', '.join(bad[:4])}",
            "that training run diverged: lower its learning rate and train again",
        )


def _counted(what: Callable[[], Any], pixels: int, user: User, method: str) -> tuple[Any, float]:
    counter = count_flops()
    with user.calls(method), counter:
        made = what()
    return made, counter.get_total_flops() / pixels * 1e6


def _semantic(module: OwnSemantic, member: Member, shown: Shown, user: User, device: torch.device) -> float:
    settings = from_plain(SemanticSettings, member.inference)
    whole = settings.size is not None
    window, side = (None, settings.size) if whole else (settings.window, settings.input_size)
    images = [_square(image_HWC, side or 1) for image_HWC in shown(window, side)]
    x_NCHW = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(device)
    value_NKHW, flops = _counted(lambda: module(x_NCHW), x_NCHW.numel() // 3, user, "forward")
    _check_finite(value_NKHW, user, "forward")
    _check_range(module, value_NKHW, x_NCHW, user)
    half_NCHW = x_NCHW[:1, :, : max(1, x_NCHW.shape[2] // 2)]
    with user.calls("forward"):
        alone, turned = module(x_NCHW[:1]), module(views.apply("rot90", half_NCHW).contiguous())
    most = _AGREE * (1 + float(alone.abs().max()))
    if (difference := float((alone - value_NKHW[:1]).abs().max())) > most:
        with user.calls("forward"):
            again = module(x_NCHW[:1])
        if (other := float((alone - again).abs().max())) > most:
            raise user.error(
                f"an image gives other values when it is predicted again, up to {other:.3g}",
                "a prediction may depend on its own image only: look for random numbers, dropout that stays "
                "on, and what is kept from one call to the next",
            )
        raise user.error(
            f"an image gives other values alone than in a batch, up to {difference:.3g}",
            "a prediction may depend on its own image only: look for batch norms that stay in training mode, "
            "and for statistics over the batch",
        )
    _check_finite(turned, user, "forward")
    if float(value_NKHW.max() - value_NKHW.min()) == 0:
        _warn(
            f"{user.name} gives the same value everywhere in {counted(len(images), 'image')}: are these its "
            "weights?"
        )
    return flops


def _check_finite(value: Tensor, user: User, method: str) -> None:
    if not bool(torch.isfinite(value).all()):
        raise user.error(
            f"{method} returned values that are not numbers (NaN or infinity)",
            "look for a division by zero or a logarithm of zero; are mean and std those of training?",
        )


def _check_range(module: OwnSemantic, value_NKHW: Tensor, x_NCHW: Tensor, user: User) -> None:
    low, high = float(value_NKHW.min()), float(value_NKHW.max())
    output = module.spec.output
    if output == "logit":
        if low >= 0 and high <= 1 and high > low:
            _warn(
                f"{user.name} declares logits, and all values are between {low:.3g} and {high:.3g}: if these "
                'are probabilities already, write output = "sigmoid"'
            )
        return
    if low < 0 or high > 1 + _SUM:
        raise user.error(
            f"it declares output {output!r}, and forward returned values from {low:.4g} to {high:.4g}",
            f"apply {output} in forward, or write output = 'logit' if these are logits",
        )
    if output == "softmax":
        padding = module.padding(*x_NCHW.shape[-2:])
        with user.calls("forward"):
            whole = module.model(nn.functional.pad(module.normalise(x_NCHW), padding, mode="replicate"))
        sums = whole.float().sum(dim=1)
        if float((sums - 1).abs().max()) > _SUM:
            raise user.error(
                f"it declares output 'softmax', and the channels of a pixel sum to {float(sums.max()):.4g}",
                "apply softmax over the channels (dim=1) in forward, the background first",
            )


def _instances(
    module: InstanceNetwork, member: Member, shown: Shown, user: User, device: torch.device
) -> float:
    settings, flops, count = from_plain(InstanceSettings, member.inference), 0.0, 0
    images = shown(settings.window, settings.size)
    for image_HWC in images:
        x_NCHW = torch.from_numpy(image_HWC.copy()).permute(2, 0, 1)[None].to(device)
        height, width = x_NCHW.shape[-2:]
        [found], flops = _counted(partial(module.detect, x_NCHW), height * width, user, "forward")
        n = len(found.scores)
        shapes = {
            "boxes": (tuple(found.boxes.shape), (n, 4)),
            "scores": (tuple(found.scores.shape), (n,)),
            "masks": (tuple(found.masks.shape), (n, height, width)),
        }
        for name, (shape, wanted) in shapes.items():
            if shape != wanted:
                raise user.error(
                    f"forward returned {name} of the shape {shape} for {n} instances, not {wanted}",
                    "return boxes (n, 4), scores (n,) and masks (n, H, W) of the input's size for each image",
                )
        _check_finite(found.boxes, user, "forward")
        _check_finite(found.scores, user, "forward")
        if n:
            _check_detections(found, user)
        count += n
    if not count:
        _warn(f"{user.name} finds nothing in {counted(len(images), 'image')}: are these its weights?")
    return flops


def _check_detections(found: Detections, user: User) -> None:
    low, high = float(found.scores.min()), float(found.scores.max())
    if not 0 <= low <= high <= 1:
        raise user.error(
            f"forward returned scores from {low:.4g} to {high:.4g}",
            "scores are probabilities in [0, 1]: apply a sigmoid",
        )
    if float(found.boxes.max()) <= 1 and max(found.masks.shape[1:]) > 1:
        raise user.error(
            "all boxes lie within one pixel",
            "boxes are x0, y0, x1, y1 in pixels of the input, not shares of its sides",
        )
    areas, within = [], []
    for mask_HW, box in zip(found.masks.cpu().numpy(), found.boxes.tolist(), strict=True):
        x0, y0, x1, y1 = (max(0, int(value)) for value in (box[0], box[1], box[2] + 1, box[3] + 1))
        areas.append(int(mask_HW.sum()))
        within.append(int(mask_HW[y0:y1, x0:x1].sum()))
    if not any(areas):
        raise user.error(
            f"none of the masks of {len(areas)} instances has a pixel",
            "return masks as booleans, or as probabilities of which 0.5 and more is the instance",
        )
    if 2 * sum(within) < sum(areas):
        raise user.error(
            f"{sum(areas) - sum(within)} of {sum(areas)} pixels of the masks lie outside of their boxes",
            "boxes are x0, y0, x1, y1 in pixels of the input (left, top, right, bottom): not y before x, "
            "and no width and height",
        )


def _values(
    module: OwnValues, member: Member, paths: Sequence[Path], prepared: Prepared, user: User
) -> float:
    settings, flops, changed = from_plain(ValuesSettings, member.inference), 0.0, False
    for path in paths:
        with prepared.source.reading.open(path) as opened:
            # As the engine shows them: of a folder of slices all; each time anew, since a model may write.
            image = values_engine.image_of(opened)
            shown = partial(values_engine.seen, image, views.get("identity"), settings)
            longer = settings.size or max(opened.height, opened.width)
            pixels = math.prod(fit(opened.height, opened.width, longer))
            found, flops = _counted(partial(module, shown()), pixels, user, "predict")
            check_values(found, prepared.source.format, user)
            with user.calls("predict"):
                changed |= module(shown()) != found
    if changed:
        _warn(
            f"{user.name}.predict gives other values for the same image again: look for random numbers, "
            "dropout that stays on, and what is kept from one call to the next"
        )
    return flops


def check_values(found: Mapping[str, float | str], form: Definition, user: User) -> None:
    """Check the values of an image against what the competition asks for.

    Args:
        found: what `predict` returned.
        form: of the competition.
        user: whose class it is.

    Raises:
        KitError: a number is due and a word is there, or the other way round; a word is no class; a number is
            not finite.
    """
    for name, value in found.items():
        if not isinstance(value, str):
            if form.words:
                raise user.error(
                    f"predict returned {value:g} for {name}, and its values are words",
                    f"return the name of a class: {', '.join(form.classes[:20])}",
                )
            if not math.isfinite(value):
                raise user.error(f"predict returned {value} for {name}", "return a finite number")
        elif not form.words:
            raise user.error(f"predict returned {value!r} for {name}, which is no number", "return a number")
        elif (value not in form.classes and not {*value.split()}.issubset(form.classes)) or not value:
            raise user.error(
                f"predict returned {value!r} for {name}, which is no class",
                f"return one of: {', '.join(form.classes[:20])}",
            )


def _shown(
    paths: Sequence[Path], reading: Reading, window: int | None, longer: int | None
) -> list[NDArray[np.uint8]]:
    """Return the middle window of images, or all of them, as an input of the model: uint8 (h, w, 3)."""
    found = []
    for path in paths:
        with reading.open(path) as slide:
            side = max(slide.height, slide.width) if window is None else window
            y0, x0 = max(0, (slide.height - side) // 2), max(0, (slide.width - side) // 2)
            part_HWC = slide.read_band(y0, min(y0 + side, slide.height))[:, x0 : x0 + side]
        height, width = part_HWC.shape[:2]
        size = (height, width) if longer is None else fit(height, width, longer)
        found.append(resize_image(np.ascontiguousarray(part_HWC), *size))
    return found


def _square(image_HWC: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image as a square: its last row and column are repeated."""
    rows, columns = side - image_HWC.shape[0], side - image_HWC.shape[1]
    return np.pad(image_HWC, ((0, rows), (0, columns), (0, 0)), mode="edge")


def _warn(text: str) -> None:
    console().print(text, style="yellow", markup=False)
