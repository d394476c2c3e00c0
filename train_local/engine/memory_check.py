"""Whether a run fits into the memory of its device, before it starts; and what fits if it does not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

from kit.errors import KitError
from kit.inference.instance_settings import InstanceSettings
from kit.local.training.memory import TrainingMemory, training_memory
from kit.local.wording import amount
from train_local import recipes
from train_local.recipes import published
from train_local.recipes.base import Recipe
from train_local.recipes.passes import with_checkpointing

_MOST_PER_PIXEL, _MOST_PER_PARAMETER = 25_000, 24
"""Bytes that no network here exceeds, per pixel of a forward pass and per parameter."""


def require_memory(recipe: Recipe, have: int, device: str, *, on_gpu: bool) -> None:
    """Check that a run fits.

    Args:
        recipe: of the run.
        have: free bytes of the device of one process.
        device: its name, for the message.
        on_gpu: 16-bit precisions are those of a GPU; the CPU computes in float32.

    Raises:
        KitError: it does not fit. The message says need, have, and what fits.
    """
    # Measuring takes some seconds. A tiny form needs less than a hundredth of what there is.
    side = example_side(recipe)
    least = _MOST_PER_PIXEL * recipe.batch_size * side**2
    if least + _MOST_PER_PARAMETER * 400e6 * (side > 512) < have / 2:
        return
    need = need_of(recipe, _measured(recipe, on_gpu=on_gpu).total)
    if need <= have:
        return
    smaller = _smaller(recipe, on_gpu=on_gpu)
    fitting = [f"{words} ({amount(size)})" for words, size in smaller if size <= have]
    advice = (
        f"what fits: {', or '.join(fitting)}; the total batch stays, more passes are accumulated"
        if fitting
        else "no smaller batch fits either: use a device with more memory, or the recipe's tiny form (--tiny)"
    )
    raise KitError(
        f"{recipe.name} needs about {amount(need)} for batches of {recipe.batch_size}, and {device} has "
        f"{amount(have)} free",
        where="memory",
        fix=advice,
    )


def example_side(recipe: Recipe) -> int:
    """Return the side of the largest example in pixels."""
    data = recipe.data
    if data.crop is not None:
        return data.crop
    if isinstance(recipe.inference, InstanceSettings):
        return recipe.inference.size
    return max(round((data.tile or 0) * data.scale), data.image_side or 0)


def _measured(recipe: Recipe, *, on_gpu: bool) -> TrainingMemory:
    side, optimiser = example_side(recipe), recipe.optimiser
    return training_memory(
        recipe.network.as_dict(),
        (recipe.batch_size, side, side),
        optimiser=optimiser.name,
        amsgrad=optimiser.amsgrad,
        average=recipe.ema is not None,
        half=on_gpu and recipe.precision != "32-true",
    )


def need_of(recipe: Recipe, estimate: int) -> int:
    """Return the estimate, or what the published log measured for these very batches, if that is less.

    The estimate of detectors-x101 is 60 GB, and the log says 43.8 GB: mmcv's deformable convolutions compute
    in 16 bits on a GPU, and the estimate cannot know that.
    """
    name = re.sub(r"-stage\d+$", "", recipe.name)
    try:
        as_published = recipes.get(recipe.name)
        logged = published.cost(name, recipe.stage).gpu_memory_mb
    except KitError:
        return estimate
    same = as_published.batch_size == recipe.batch_size and as_published.network == recipe.network
    return min(estimate, round(1.05 * logged * 1e6)) if same and logged is not None else estimate


def _smaller(recipe: Recipe, *, on_gpu: bool) -> Iterator[tuple[str, int]]:
    """Smaller forms of a recipe with the bytes that they need: the options that make them."""
    forms = [("", recipe)]
    with contextlib.suppress(KitError):
        forms.append(("--checkpointing", with_checkpointing(recipe)))
    of_gpu = recipe.batch_size * recipe.accumulate
    for words, form in forms:
        if form == recipe and words:
            continue
        measured = _measured(form, on_gpu=on_gpu)
        sizes = [size for size in range(recipe.batch_size, 0, -1) if of_gpu % size == 0]
        for size in sizes if words else sizes[1:]:
            # Activations grow with the batch: half the batch, half of them.
            passes = round(measured.passes * size / recipe.batch_size)
            batch = "" if size == recipe.batch_size else f"--batch-size {size} "
            yield f"{batch}{words}".strip(), replace(measured, passes=passes).total
