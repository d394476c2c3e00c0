"""The page docs/recipes.md: published values, ours, and why they differ, written from the code."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from typing import Any

from train_local.recipes import comparison, published, registry
from train_local.recipes.base import Recipe
from train_local.recipes.comparison import VERDICTS, Compared
from train_local.recipes.paths import MISSING, equal, leaves
from train_local.recipes.show import published_name, shown

PAGE = "docs/recipes.md"
_HEAD = """# Recipes

Written by `python -m train_local recipes --doc`; a test holds it against the code.

What each published network was trained with, what the kit does, and why where the two differ. A published
value is the one that the authors' code used; where their text states another one, the variant `text` has that
(`python -m train_local show detectors-x101 --variant text`). `python -m train_local show RECIPE [--stage N]`
prints all of a recipe, `diff A B` what two of them do differently. Published values and the source line of
each are in `train_local/recipes/published/`.
"""


def page() -> str:
    """Return the whole page."""
    made = [(recipe, comparison.compare(recipe)) for recipe in _in_order()]
    parts = [_HEAD, *_summary(made)]
    competitions = dict.fromkeys(recipe.competition for recipe, _ in made)
    for competition in competitions:
        parts.append(f"\n## {competition}\n")
        for recipe, compared in made:
            if recipe.competition == competition:
                parts += _section(recipe, compared)
    return "\n".join(parts).rstrip() + "\n"


def _in_order() -> list[Recipe]:
    """By competition and name, an earlier stage in front of its later one."""
    made = comparison.all_recipes()
    return sorted(made, key=lambda recipe: (recipe.competition, published_name(recipe), recipe.stage or 0))


def _summary(made: list[tuple[Recipe, list[Compared]]]) -> Iterator[str]:
    total = comparison.counts([item for _, compared in made for item in compared])
    yield "| recipe | stage | " + " | ".join(VERDICTS) + " | GPU hours | GPU memory |"
    yield "|---|---|" + "---:|" * (len(VERDICTS) + 2)
    for recipe, compared in made:
        count = comparison.counts(compared)
        cost = published.cost(published_name(recipe), recipe.stage)
        hours = "" if cost.gpu_hours is None else f"{cost.gpu_hours:.1f}"
        memory = "" if cost.gpu_memory_mb is None else f"{cost.gpu_memory_mb / 1024:.1f} GB"
        cells = [str(count[verdict]) for verdict in VERDICTS] + [hours, memory]
        yield f"| {published_name(recipe)} | {recipe.stage or ''} | " + " | ".join(cells) + " |"
    yield "| **all** | | " + " | ".join(f"**{total[verdict]}**" for verdict in VERDICTS) + " | | |"
    yield (
        "\nGPU hours and memory are of the published logs, for one fold of one stage. What is not compared\n"
        "is in words or fixed by a class; `train_local/recipes/not_compared.py` has the reason of each.\n"
        "Below stand the most important values (`=` where ours is the same) and all that differ."
    )


def _section(recipe: Recipe, compared: list[Compared]) -> Iterator[str]:
    stage = f", stage {recipe.stage}" if recipe.stage else ""
    yield f"\n### {published_name(recipe)}{stage}\n"
    yield _docstring(recipe)
    # The most important values, then whatever differs; `show` has the rest.
    shown_here = [item for item in compared if not item.source or item.verdict in {"declared", "different"}]
    yield "\n| value | published | ours | why |"
    yield "|---|---|---|---|"
    for item in _once(shown_here):
        ours = "=" if item.verdict == "equal" else _cell(item.ours)
        yield f"| {item.path} | {_cell(item.published)} | {ours} | {_escaped(item.reason)} |"
    yield from _variants(recipe)


def _variants(recipe: Recipe) -> Iterator[str]:
    """What the other variants change."""
    for name in recipe.variant_names()[1:]:
        if name not in recipe.variants:
            yield f"\nVariant `{name}`: its earlier stage is of that variant."
            continue
        yield f"\nVariant `{name}`:\n"
        yield f"| value | published | {name} |"
        yield "|---|---|---|"
        for path, mine, other in differences(shown(recipe), shown(recipe.in_variant(name))):
            yield f"| {path} | {_cell(mine)} | {_cell(other)} |"


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return path and both values of every leaf in which two `show` objects differ.

    Names, variants and the list of deviations say what the objects are and are left out.
    """
    apart = {"recipe", "stage", "variant", "deviations", "schema"}
    mine = dict(leaves({key: value for key, value in one.items() if key not in apart}))
    theirs = dict(leaves({key: value for key, value in other.items() if key not in apart}))
    pairs = [(path, mine.get(path, MISSING), theirs.get(path, MISSING)) for path in mine | theirs]
    return [(path, a, b) for path, a, b in pairs if not equal(a, b)]


def _docstring(recipe: Recipe) -> str:
    """What the function that makes the recipe says about it."""
    text = inspect.getdoc(registry.function(recipe.name))
    return text or ""


def _once(items: Iterable[Compared]) -> list[Compared]:
    """Each path once, as it came first: `core` repeats paths."""
    return list({item.path: item for item in reversed(list(items))}.values())[::-1]


def _cell(value: Any) -> str:
    return _escaped(value if isinstance(value, str) else json.dumps(value))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
