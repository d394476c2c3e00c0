"""One function a published model; `get` and `names` are the registry."""

from __future__ import annotations

from collections.abc import Callable

from kit.errors import KitError
from train_local.recipes.base import Data, Optimiser, Recipe, Schedule, Step
from train_local.recipes.detectors import detectors_r50
from train_local.recipes.unet import unet_regnety16

__all__ = ["Data", "Optimiser", "Recipe", "Schedule", "Step", "get", "names"]

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
