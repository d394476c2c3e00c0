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

SCHEMA = 2


def load(
    competition: str,
    kind: str,
    sources: Sources,
    *,
    tiny: bool,
    views: tuple[str, ...] = (),
    batch_size: int | None = None,
    checkpointing: bool = False,
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
        batch_size: most examples of a forward pass.
        checkpointing: compute activations twice where a network can.
        cache: folder for the file; None keeps none.
    """
    modules = [f"train_local.recipes.{entry.module}" for entry in registry.entries().values()]
    made_from = [
        sources.hash_of(["train_local.jobs.forms", *modules, *sources.modules_in("kit.models.families")]),
        tiny,
        list(views),
        [batch_size, checkpointing],
        [competition, kind],
    ]
    path = None if cache is None else cache / f"recipes-{sha256_json([SCHEMA, *made_from])[:16]}.json"
    if path is not None and path.is_file():
        return [from_plain(Form, form) for form in read_json(path)]
    found = [
        form_of(
            shaped(recipe, views, batch_size, checkpointing=checkpointing), member=name in registry.names()
        )
        for name, recipe in _suiting(competition, kind, tiny=tiny)
    ]
    if path is not None:
        write_json(path, [to_plain(form) for form in found])
    return found


def _suiting(competition: str, kind: str, *, tiny: bool) -> Iterator[tuple[str, Recipe]]:
    # Stages come with the recipe that starts from them, but for one: the demo's tiny form starts from random
    # weights, and its stage is named here alone.
    for name in (*registry.names(), *registry.teacher_names(), *registry.stage_names()):
        recipe = registry.get(name)
        recipe = recipe.tiny() if tiny else recipe
        if registry.suits(recipe, competition, kind):
            yield name, recipe


def form_of(recipe: Recipe, *, member: bool = True) -> Form:
    """Return the plain form of a recipe."""
    from kit import models

    modules = (
        models.family(recipe.network.name),
        f"kit.inference.{recipe.kind}_engine",
        f"kit.competitions.{recipe.kind}",
    )
    return Form(config=recipe.as_dict(), modules=modules, member=member, checkpoints=_checkpoints(recipe))


def _checkpoints(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Published checkpoint -> names of its file, of a recipe and its earlier stages."""
    from kit.local.pretrained.registry import get
    from kit.local.pretrained.store import published_files

    found: dict[str, tuple[str, ...]] = {}
    stage: Recipe | None = recipe
    while stage is not None:
        name = stage.pretrained
        if name is not None and name != "timm":
            found[name] = published_files(get(name))
        stage = stage.earlier_stage
    return found


def shaped(recipe: Recipe, views: tuple[str, ...], batch_size: int | None, *, checkpointing: bool) -> Recipe:
    """Return a recipe as the command line asks for it."""
    from train_local.recipes.passes import with_less_memory

    recipe = with_less_memory(recipe, batch=batch_size, checkpointing=checkpointing)
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
                    shown = _like(recipe, config)
                    if sha256_json(shown.as_dict()) == sha256_json(config):
                        return shown
                recipe = recipe.earlier_stage
    raise KitError(
        f"the recipe {config['name']} is no longer what it was when the plan was made",
        fix="run `train-all` again",
    )


def _like(recipe: Recipe, config: Any) -> Recipe:
    """A recipe with what a command line may change as a plain form has it: passes, views, seed."""
    from train_local.recipes.passes import with_less_memory

    arguments = config["network"]["arguments"]
    stage, of_stage = recipe.earlier_stage, config["earlier_stage"]
    recipe = replace(recipe, earlier_stage=None)
    recipe = with_less_memory(
        recipe, batch=config["batch_size"], checkpointing=bool(arguments.get("checkpointing"))
    )
    stage = stage if stage is None or of_stage is None else _like(stage, of_stage)
    return replace(recipe, views=tuple(config["views"]), seed=config["seed"], earlier_stage=stage)
