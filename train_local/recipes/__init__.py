"""One function a published model; `get` and `names` are the registry."""

from __future__ import annotations

from collections.abc import Callable

from kit.errors import KitError
from kit.models import spec
from train_local.recipes.base import Data, Optimiser, Recipe, Schedule, Step
from train_local.recipes.detectors import detectors_r50
from train_local.recipes.unet import unet_regnety16

__all__ = ["Data", "Optimiser", "Recipe", "Schedule", "Step", "get", "names", "suits"]

_REGISTRY: dict[str, Callable[[], Recipe]] = {
    "detectors-r50": detectors_r50,
    "unet-regnety16": unet_regnety16,
}


def names() -> list[str]:
    """All recipes that can be trained by name, sorted. Earlier stages hang on them as `Recipe.before`."""
    return sorted(_REGISTRY)


def get(name: str) -> Recipe:
    """The recipe of a name, at published size; `.tiny()` derives its small form.

    Raises:
        KitError: no recipe has that name.
    """
    if name not in _REGISTRY:
        raise KitError(f"no recipe is called {name!r}", fix=f"choose one of {', '.join(names())}")
    return _REGISTRY[name]()


def suits(recipe: Recipe, competition: str, kind: str) -> bool:
    """Whether a recipe may train on a competition's data.

    Args:
        recipe: which.
        competition: its name.
        kind: of its predictions.

    Returns:
        True for the recipes made for it; where there are none (body, or a competition that a TOML file
        describes), for all of its kind.
    """
    if recipe.competition == competition:
        return True
    made_for_it = any(make().competition == competition for make in _REGISTRY.values())
    return not made_for_it and spec(str(recipe.network["network"])).kind == kind
