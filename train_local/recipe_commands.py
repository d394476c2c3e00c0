"""The verbs that print recipes: `recipes`, `show`, `diff`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.artefacts import write_text
from kit.command_line import option
from kit.errors import KitError
from kit.local.wording import counted
from train_local import recipes

if TYPE_CHECKING:
    from train_local.recipes.base import Recipe


def recipe_names() -> list[str]:
    """Return the names of all recipes and stages."""
    return sorted(recipes.entries())


_NAMED = "as `recipes` lists it; @text behind it takes that variant"


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List what can be trained, or compare it with what was published."""

    json: bool = field(default=False, metadata=option("machine-readable, on stdout"))
    check: bool = field(
        default=False,
        metadata=option("count the published values that ours equal, and name those they don't"),
    )
    doc: bool = field(default=False, metadata=option("write docs/recipes.md"))


def list_recipes(options: Recipes) -> int:
    """Run `recipes`."""
    if options.check:
        return _check(options)
    if options.doc:
        from train_local.recipes import document

        write_text(Path(document.PAGE), document.page())
        print(document.PAGE)
        return 0
    forms = all_forms()
    if options.json:
        print(json.dumps([form.as_dict() for form in forms], indent=1))
        return 0
    from kit.local.console import show_table

    headings = ("name", "competition", "length", "batch", "folds", "views", "starts from")
    show_table("recipes", headings, map(_row, forms))
    return 0


def all_forms() -> list[Recipe]:
    """Return all recipes, earlier stages in front of those that start from them, and the tiny forms."""
    members = [recipes.get(name) for name in (*recipes.names(), *recipes.teacher_names())]
    stages = [recipes.get(name) for name in recipes.stage_names()]
    return [*stages, *members, *(recipe.tiny() for recipe in (*stages, *members))]


def _row(form: Recipe) -> tuple[str, ...]:
    length = counted(form.epochs, "epoch") if form.epochs is not None else f"{form.iterations} iterations"
    earlier = form.earlier_stage
    before = earlier.name if earlier is not None else form.pretrained or "random weights"
    folds, batch = ", ".join(map(str, form.folds)), f"{form.batch_size} x {form.passes}"
    return form.name, form.competition, length, batch, folds, ", ".join(form.views), before


def _check(options: Recipes) -> int:
    from kit.local.console import show_table
    from train_local.recipes import comparison

    made = [(recipe, comparison.compare(recipe)) for recipe in comparison.all_recipes()]
    rows = [
        (recipe.name, *(str(count) for count in comparison.counts(compared).values()))
        for recipe, compared in made
    ]
    total = comparison.counts([item for _, compared in made for item in compared])
    different = [
        (recipe.name, item) for recipe, compared in made for item in compared if item.verdict == "different"
    ]
    if options.json:
        told = [
            {"recipe": name, "value": item.path, "published": item.published, "ours": item.ours}
            for name, item in different
        ]
        print(json.dumps({"counts": total, "different": told}, indent=1))
    else:
        show_table("published values", ("recipe", *comparison.VERDICTS), rows)
        print(", ".join(f"{verdict} {count}" for verdict, count in total.items()))
        for name, item in different:
            why = f" ({item.reason})" if item.reason else ""
            print(f"{name}: {item.path} is {item.published} published, {item.ours} here{why}")
    if total["different"]:
        raise KitError(
            f"{counted(total['different'], 'value')} neither as published nor declared as a deviation",
            where="train_local/recipes",
            fix="correct them, or add a Deviation with the reason",
        )
    return 0


@dataclass(frozen=True, kw_only=True)
class Show:
    """Spell a recipe out: every value that decides its training."""

    recipe: str = field(metadata=option(_NAMED, positional=True, metavar="RECIPE", names=recipe_names))
    stage: int | None = field(default=None, metadata=option("default: the last", metavar="N"))
    variant: str | None = field(default=None, metadata=option("published (default) or text", metavar="NAME"))
    tiny: bool = field(default=False, metadata=option("its small form"))
    json: bool = field(default=False, metadata=option("machine-readable, on stdout"))


def show(options: Show) -> int:
    """Run `show`."""
    from train_local.recipes.lookup import find
    from train_local.recipes.show import shown

    recipe = find(options.recipe, stage=options.stage, variant=options.variant)
    value = shown(recipe.tiny() if options.tiny else recipe)
    if options.json:
        print(json.dumps(value, indent=1))
        return 0
    from kit.local.console import show_table
    from train_local.recipes.paths import leaves

    deviations = value.pop("deviations")
    show_table(recipe.name, ("value", "ours"), [(path, _text(item)) for path, item in leaves(value)])
    if deviations:
        rows = [
            (item["path"], _text(item["published"]), _text(item["ours"]), item["why"]) for item in deviations
        ]
        show_table("not taken over", ("value", "published", "ours", "why"), rows)
    return 0


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Print in which values two recipes differ."""

    one: str = field(metadata=option(_NAMED, positional=True, metavar="A", names=recipe_names))
    other: str = field(metadata=option("likewise", positional=True, metavar="B", names=recipe_names))
    json: bool = field(default=False, metadata=option("machine-readable, on stdout"))


def diff(options: Diff) -> int:
    """Run `diff`."""
    from kit.local.console import show_table
    from train_local.recipes.document import differences
    from train_local.recipes.lookup import find
    from train_local.recipes.show import shown

    one, other = find(options.one), find(options.other)
    found = differences(shown(one), shown(other))
    if options.json:
        print(
            json.dumps([{"path": path, "values": [mine, theirs]} for path, mine, theirs in found], indent=1)
        )
        return 0
    rows = [(path, _text(mine), _text(theirs)) for path, mine, theirs in found]
    show_table(counted(len(rows), "difference"), ("value", one.name, other.name), rows)
    return 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
