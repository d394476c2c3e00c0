"""Recipes as plain values, so that a plan needs neither torch nor the recipes' modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.artefacts import read_json, sha256_json, write_json
from kit.errors import KitError
from kit.typed_json import from_plain, to_plain
from train_local.jobs.job import Form
from train_local.jobs.source_hash import Sources
from train_local.recipes import registry

if TYPE_CHECKING:
    from train_local.recipes.base import Recipe

SCHEMA = 1


def load(
    competition: str,
    kind: str,
    sources: Sources,
    *,
    tiny: bool,
    views: tuple[str, ...] = (),
    cache: Path | None = None,
) -> list[Form]:
    """Return the recipes of a competition in plain values, members and teachers.

    Making a recipe loads torch, which takes seconds. So the plain values are kept in a file, whose name has
    the hash of everything that they are made from.

    Args:
        competition: its name.
        kind: of its predictions.
        sources: of this installation.
        tiny: take the small forms.
        views: take these instead of the recipes' own.
        cache: folder for the file; None keeps none.
    """
    modules = [f"train_local.recipes.{entry.module}" for entry in registry.entries().values()]
    made_from = [
        sources.hash_of(["train_local.jobs.forms", *modules, *sources.modules_in("kit.models.families")]),
        tiny,
        list(views),
        [competition, kind],
    ]
    path = None if cache is None else cache / f"recipes-{sha256_json([SCHEMA, *made_from])[:16]}.json"
    if path is not None and path.is_file():
        return [from_plain(Form, form) for form in read_json(path)]
    found = list(_make(competition, kind, tiny=tiny, views=views))
    if path is not None:
        write_json(path, [to_plain(form) for form in found])
    return found


def _make(competition: str, kind: str, *, tiny: bool, views: tuple[str, ...]) -> Iterator[Form]:
    # Stages come with the recipe that starts from them, but for one: the demo's tiny form starts from random
    # weights, and its stage is named here alone.
    for name in (*registry.names(), *registry.teacher_names(), *registry.stage_names()):
        recipe = shaped(registry.get(name), tiny=tiny, views=views)
        if registry.suits(recipe, competition, kind):
            yield form_of(recipe, member=name in registry.names())


def form_of(recipe: Recipe, *, member: bool = True) -> Form:
    """Return the plain form of a recipe."""
    from kit import models

    modules = (
        models.family(recipe.network.name),
        f"kit.inference.{recipe.kind}_engine",
        f"kit.competitions.{recipe.kind}",
    )
    return Form(config=recipe.as_dict(), modules=modules, member=member)


def shaped(recipe: Recipe, *, tiny: bool, views: tuple[str, ...] = ()) -> Recipe:
    """Return a recipe as the command line asks for it."""
    recipe = recipe.tiny() if tiny else recipe
    return replace(recipe, views=views) if views else recipe


def recipe_of(config: Any) -> Recipe:
    """Return the recipe that has a plain form: one of the registry's, its tiny form, or a stage of these.

    Raises:
        KitError: there is none; the source has changed since the plan was made.
    """
    for name in (*registry.names(), *registry.teacher_names(), *registry.stage_names()):
        full = registry.get(name)
        for first in (full, full.tiny()):
            recipe: Recipe | None = first
            while recipe is not None:
                if recipe.name == config["name"]:
                    shown = replace(recipe, views=tuple(config["views"]), seed=config["seed"])
                    if sha256_json(shown.as_dict()) == sha256_json(config):
                        return shown
                recipe = recipe.earlier_stage
    raise KitError(
        f"the recipe {config['name']} is no longer what it was when the plan was made",
        fix="run `train-all` again",
    )
