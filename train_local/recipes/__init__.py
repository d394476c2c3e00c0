"""Recipes: one file for each family of published networks, one function for each network.

`names` and `get` find them (see `registry`); importing this loads no torch.
"""

from train_local.recipes.registry import (
    competition_of,
    entries,
    get,
    names,
    spelled,
    stage_names,
    suits,
    teacher_names,
)

__all__ = [
    "competition_of",
    "entries",
    "get",
    "names",
    "spelled",
    "stage_names",
    "suits",
    "teacher_names",
]
