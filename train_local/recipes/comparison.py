"""Published values beside ours, leaf by leaf: equal, declared as a deviation, or different.

`compare` walks over every leaf of the published values and looks for ours at the same path of `show`, or
where a rule of `comparison_rules` finds it. What a program cannot compare stands in `not_compared` with the
reason, so that no leaf is left out in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kit.typed_json import to_plain
from train_local import recipes
from train_local.recipes import comparison_augment, comparison_rules, not_compared, published
from train_local.recipes.base import Recipe
from train_local.recipes.paths import at, equal, inside, leaves
from train_local.recipes.settings import Deviation
from train_local.recipes.show import published_name, shown

Verdict = Literal["equal", "declared", "different", "not compared"]
VERDICTS: tuple[Verdict, ...] = ("equal", "declared", "different", "not compared")


@dataclass(frozen=True)
class Compared:
    """One published value and ours.

    Attributes:
        path: of the published value.
        published: it.
        ours: what the recipe has there.
        verdict: how they compare.
        reason: why they differ, or cannot be compared; empty if they are equal.
        source: line of the published value; empty for one of `core`, which repeats others.
    """

    path: str
    published: Any
    ours: Any
    verdict: Verdict
    reason: str
    source: str = ""


def compare(recipe: Recipe) -> list[Compared]:
    """Return every published value of a recipe's stage beside ours, then deviations from what is in no table.

    Args:
        recipe: at full size.

    Raises:
        KitError: no published values are known of it.
    """
    facts = published.stage_of(published_name(recipe), recipe.stage)
    ours = shown(recipe)
    found = [
        _compared(path, value, ours, recipe.deviations, _source(path, facts.sources))
        for path, value in leaves(facts.config)
    ]
    found += [_compared(path, value, ours, recipe.deviations, "") for path, value in facts.core.items()]
    used = {item.path: item.verdict for item in found}
    for deviation in recipe.deviations:
        verdicts = {verdict for path, verdict in used.items() if inside(path, deviation.path)}
        if "declared" in verdicts:
            continue
        # A deviation from a value that is equal tells of a difference that there is not.
        verdict: Verdict = "different" if verdicts else "declared"
        why = f"declared as a deviation, but it is none: {deviation.why}" if verdicts else deviation.why
        found.append(Compared(deviation.path, deviation.published, deviation.ours, verdict, why))
    return found


def all_recipes() -> list[Recipe]:
    """Return all recipes and stages whose published values are known, sorted by name."""
    names = [*recipes.names(), *recipes.teacher_names(), *recipes.stage_names()]
    made = [recipes.get(name) for name in sorted(names)]
    return [recipe for recipe in made if published_name(recipe) in published.names()]


def counts(compared: Iterable[Compared]) -> dict[Verdict, int]:
    """Return how many values have each verdict."""
    found = [item.verdict for item in compared]
    return {verdict: found.count(verdict) for verdict in VERDICTS}


def _compared(
    path: str, value: Any, ours: Mapping[str, Any], deviations: tuple[Deviation, ...], source: str
) -> Compared:
    deviation = next((item for item in deviations if inside(path, item.path)), None)
    reason = not_compared.reason_of(path)
    if reason is None:
        wanted, found = _in_one_form(path, value, ours)
        if equal(wanted, found):
            return Compared(path, value, found, "equal", "", source)
        if deviation is None:
            return Compared(path, value, found, "different", "", source)
    if deviation is not None:
        return Compared(path, value, to_plain(deviation.ours), "declared", deviation.why, source)
    return Compared(path, value, None, "not compared", str(reason), source)


def _in_one_form(path: str, value: Any, ours: Mapping[str, Any]) -> tuple[Any, Any]:
    if path.startswith("augment") and path != "augment.ops":
        return comparison_augment.comparable(path, value, ours["augment"])
    return comparison_rules.comparable(path, value, ours) or (value, at(ours, path))


def _source(path: str, sources: Mapping[str, str]) -> str:
    """The line of a value, or of the nearest part around it that has one."""
    while path not in sources and re.search(r"[.\[]", path):
        path = re.sub(r"(\.[^.\[]+|\[\d+\])$", "", path)
    return sources.get(path, "")
