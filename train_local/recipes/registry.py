"""Recipes by name, found by a scan of this folder.

A file holds recipes if it says for which competition: `COMPETITION = "kidney"`. Every public function of such
a file is a recipe, and its name with dashes is the recipe's: `unet_regnety16` makes "unet-regnety16". A name
that ends in "_stage1", "_stage2", ... is an earlier stage: it can be trained by name, but it is trained only
because another recipe starts from its weights, and it never becomes a member of an ensemble. A name that ends
in "_teacher" is trained because another recipe learns from its predictions, and is no member either.

So a new recipe is one new file, a variant is one new function, and there is no list to extend.

Files are parsed and not imported until a recipe is asked for: command lines and nox list the names without
loading torch, and without any package beyond the standard library.
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kit.errors import KitError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from train_local.recipes.base import Recipe

_FOLDER = Path(__file__).parent
_STAGE = re.compile(r"-stage\d+$")
_TEACHER = "-teacher"


@dataclass(frozen=True)
class Entry:
    """Where a recipe stands.

    Attributes:
        module: file name without ".py".
        function: name of the function that makes it.
        competition: name of its competition.
    """

    module: str
    function: str
    competition: str

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.function.replace("_", "-")


def names() -> list[str]:
    """Return the names of all recipes that give members of an ensemble, sorted."""
    return [name for name in entries() if not _STAGE.search(name) and not name.endswith(_TEACHER)]


def teacher_names() -> list[str]:
    """Return the names of the recipes that only make pseudo labels for others, sorted."""
    return [name for name in entries() if name.endswith(_TEACHER)]


def stage_names() -> list[str]:
    """Return the names of the earlier stages other recipes start from, sorted."""
    return [name for name in entries() if _STAGE.search(name)]


def competition_of(name: str) -> str:
    """Return the name of the competition a recipe is for.

    Raises:
        KitError: no recipe has that name.
    """
    return _entry(name).competition


def get(name: str) -> Recipe:
    """Make the recipe of a name, at published size; `.tiny()` derives its small form.

    Raises:
        KitError: no recipe has that name, or the one its function makes says another name or competition.
    """
    entry = _entry(name)
    recipe = function(name)()
    # The list was made without running the file; here it is held against what the function really makes.
    if (recipe.name, recipe.competition) != (name, entry.competition):
        raise KitError(
            f"{entry.function} makes recipe {recipe.name!r} for {recipe.competition}, "
            f"not {name!r} for {entry.competition}",
            where=_FOLDER / f"{entry.module}.py",
            fix=f"give it name={name!r} and competition=COMPETITION",
        )
    return recipe


def spelled(name: str) -> str:
    """Return a name as it is spelled here: published names have underscores, "segformer-b3_1024"."""
    return name.replace("_", "-").lower()


def function(name: str) -> Callable[[], Recipe]:
    """Return the function that makes a recipe; its docstring describes it.

    Raises:
        KitError: no recipe has that name.
    """
    entry = _entry(name)
    found: Callable[[], Recipe] = getattr(
        importlib.import_module(f"train_local.recipes.{entry.module}"), entry.function
    )
    return found


def suits(recipe: Recipe, competition: str, kind: str) -> bool:
    """Whether a recipe may train on a competition's data.

    Args:
        recipe: the recipe to judge.
        competition: its name.
        kind: of its predictions.

    Returns:
        True for the recipes made for it. Where there are none (body, or a competition that a TOML file
        describes), True for all of its kind.
    """
    if recipe.competition == competition:
        return True
    # "body" has no recipe, so the U-Net of the kidney may train on it. Once a recipe says COMPETITION =
    # "body", that one is offered and the others are not.
    made_for_it = any(competition_of(name) == competition for name in names())
    return not made_for_it and recipe.kind == kind


@cache
def entries() -> dict[str, Entry]:
    """Return all recipes and earlier stages by name, sorted by name."""
    found = [entry for path in sorted(_FOLDER.glob("*.py")) for entry in read(path)]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)}


def read(path: Path) -> Iterator[Entry]:
    """Yield the recipes of one file without running it; a file without COMPETITION has none."""
    # `ast` gives the file as a tree of statements; nothing in it runs, so the file's imports cost nothing.
    # Only statements at the top level are looked at: methods and nested functions are no recipes.
    body = ast.parse(path.read_text(encoding="utf-8")).body
    competition = next((found for node in body if (found := _competition(node)) is not None), None)
    if competition is None:
        return
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield Entry(path.stem, node.name, competition)


def _competition(node: ast.stmt) -> str | None:
    """The text of a statement `COMPETITION = "..."`, None for any other statement."""
    match node:
        case ast.Assign(targets=[ast.Name(id="COMPETITION")], value=ast.Constant(value=str(text))):
            return text
    return None


def _entry(name: str) -> Entry:
    if name not in entries():
        guess = did_you_mean(name.replace("_", "-"), entries())
        raise KitError(f"no recipe is called {name!r}", fix=f"{guess}choose one of {', '.join(names())}")
    return entries()[name]
