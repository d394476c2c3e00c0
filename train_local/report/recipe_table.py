"""What a recipe's values are, beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train_local.recipes import comparison

_TINY = "-tiny"


@dataclass(frozen=True)
class Row:
    """One value.

    Attributes:
        path: of the value, with dots.
        published: its published value.
        ours: what the recipe has.
        verdict: "equal", "declared", "different" or "not compared".
        reason: why they differ or are not compared.
    """

    path: str
    published: str
    ours: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class RecipeTable:
    """The values of one recipe.

    Attributes:
        recipe: its name.
        of: name of the full recipe that the table is about.
        differing: values that are not the published ones, and those nothing compares.
        equal: values that are the published ones.
        settings: all values of the run, as its folder has them.
    """

    recipe: str
    of: str
    differing: list[Row]
    equal: list[Row]
    settings: str


def recipe_table(name: str, config: Mapping[str, Any]) -> RecipeTable:
    """Compare a recipe with the published values, and show what its runs were told.

    Args:
        name: of the recipe; the table of a tiny form is that of the full one.
        config: the resolved recipe of a run.
    """
    full = name.removesuffix(_TINY)
    known = next((recipe for recipe in comparison.all_recipes() if recipe.name == full), None)
    rows = [
        Row(item.path, _short(item.published), _short(item.ours), item.verdict, item.reason)
        for item in (comparison.compare(known) if known is not None else [])
    ]
    return RecipeTable(
        recipe=name,
        of=full,
        differing=[row for row in rows if row.verdict != "equal"],
        equal=[row for row in rows if row.verdict == "equal"],
        settings=json.dumps(config, indent=1, ensure_ascii=False),
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:157]}..."
