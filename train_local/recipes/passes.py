"""Recipes for smaller GPUs: other forward passes, the same optimiser steps."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from kit.errors import KitError
from train_local.recipes.base import Recipe


def with_batch_size(recipe: Recipe, batch: int) -> Recipe:
    """Return the recipe with other forward passes and the same optimiser steps.

    Raises:
        KitError: the examples of a step cannot be divided into such passes.
    """
    of_gpu = recipe.batch_size * recipe.accumulate
    if of_gpu % batch:
        fits = [str(size) for size in range(1, of_gpu + 1) if of_gpu % size == 0]
        raise KitError(
            f"{of_gpu} examples of a GPU's step cannot be divided into passes of {batch}",
            where="--batch-size",
            fix=f"use {', '.join(fits)}: the total batch then stays as published",
        )
    return replace(recipe, batch_size=batch, accumulate=of_gpu // batch)


def with_checkpointing(recipe: Recipe) -> Recipe:
    """Return the recipe with a network that computes its activations twice instead of keeping them.

    Raises:
        KitError: its network cannot do that.
    """
    arguments = {**recipe.network.arguments, "checkpointing": True}
    try:
        return replace(recipe, network=replace(recipe.network, arguments=arguments))
    except KitError as error:
        raise KitError(
            f"the network {recipe.network.name} keeps all activations",
            where="--checkpointing",
            fix="use a smaller --batch-size instead",
        ) from error


def with_less_memory(recipe: Recipe, *, batch: int | None = None, checkpointing: bool = False) -> Recipe:
    """Return a recipe, with its earlier stages, in a form that needs less memory, as far as each can.

    Args:
        recipe: any.
        batch: most examples of a forward pass: of 12 examples of a step, 5 allow passes of 4.
        checkpointing: compute activations twice, where the network can.
    """
    if checkpointing:
        with contextlib.suppress(KitError):
            recipe = with_checkpointing(recipe)
    if batch is not None and batch < recipe.batch_size:
        of_gpu = recipe.batch_size * recipe.accumulate
        recipe = with_batch_size(recipe, max(size for size in range(1, batch + 1) if of_gpu % size == 0))
    if recipe.earlier_stage is None:
        return recipe
    return replace(
        recipe, earlier_stage=with_less_memory(recipe.earlier_stage, batch=batch, checkpointing=checkpointing)
    )
