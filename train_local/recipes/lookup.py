"""Recipes as people write them: `detectors-r50`, `segformer-b3_1024`, `detectors-x101@text`."""

from __future__ import annotations

from kit.errors import KitError
from train_local.recipes import registry
from train_local.recipes.base import Recipe


def find(text: str, *, stage: int | None = None, variant: str | None = None) -> Recipe:
    """Return the recipe that a text names, at full size.

    Args:
        text: name, or name@variant.
        stage: of its stages; None takes the one that the name stands for, which is the last.
        variant: None takes the text's, or "published".

    Raises:
        KitError: there is no such recipe, stage or variant; the message has the nearest names.
    """
    name, _, written = text.partition("@")
    recipe = registry.get(registry.spelled(name)).in_variant(variant or written or "published")
    if stage is None:
        return recipe
    found: Recipe | None = recipe
    known = []
    while found is not None:
        if found.stage == stage:
            return found
        known.append(found.stage)
        found = found.earlier_stage
    told = ", ".join(str(number) for number in sorted(filter(None, known)))
    raise KitError(
        f"recipe {recipe.name!r} has no stage {stage}",
        fix=f"its stages are {told}" if told else "it is trained once: leave --stage out",
    )
