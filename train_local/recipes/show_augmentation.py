"""The augmentation of a recipe spelt out: every operation with its probability and all of its arguments."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

from kit.typed_json import to_plain
from train_local.augment.spec import AnyOperation, ByOrgan, OneOf, Op
from train_local.augment.spec import Sequence as Several
from train_local.recipes.base import Recipe


def augmentation(recipe: Recipe) -> list[dict[str, Any]]:
    """Return all operations in order, the crop that comes with the data first."""
    return [*_crop(recipe), *_all(recipe.augment)]


def output_side(recipe: Recipe) -> int | None:
    """Return the side of examples if an operation decides it, as `RandomResizedCrop` does."""
    for operation in recipe.augment:
        if isinstance(operation, Op) and operation.op == "RandomResizedCrop":
            return int(operation.args["size"][0])
    return None


def _crop(recipe: Recipe) -> list[dict[str, Any]]:
    """The square that is cut from a tile: the middle or any place."""
    data = recipe.data
    if data.crop is None or not data.crop_centre:
        return []
    size = {"size": data.crop}
    centre = {"op": "CenterCrop", "p": 1.0, "args": size}
    anywhere = {"op": "RandomCrop", "p": 1.0, "args": size}
    shares = [data.crop_centre, round(1 - data.crop_centre, 6)]
    return [{"op": "OneOf", "p": 1.0, "choices": [[centre], [anywhere]], "weights": shares}]


def _all(operations: Sequence[AnyOperation]) -> list[dict[str, Any]]:
    return [_one(operation) for operation in operations]


def _one(operation: AnyOperation) -> dict[str, Any]:
    if isinstance(operation, Op):
        args = {**defaults(operation.library, operation.op), **operation.args}
        return {"op": operation.op, "p": operation.p, "args": args, "library": operation.library}
    if isinstance(operation, OneOf):
        weights = None if operation.weights is None else list(operation.weights)
        choices = [_all(choice) for choice in operation.choices]
        return {"op": "OneOf", "p": operation.p, "choices": choices, "weights": weights}
    if isinstance(operation, Several):
        return {"op": "Sequence", "p": operation.p, "steps": _all(operation.steps)}
    if isinstance(operation, ByOrgan):
        organs = {organ: _all(steps) for organ, steps in operation.organs.items()}
        otherwise = None if operation.otherwise is None else _all(operation.otherwise)
        return {"op": "ByOrgan", "p": operation.p, "organs": organs, "otherwise": otherwise}
    args = {key: value for key, value in to_plain(operation).items() if key not in {"name", "p"}}
    return {"op": type(operation).__name__, "p": operation.p, "args": args, "library": "train_local"}


def defaults(library: str, op: str) -> dict[str, Any]:
    """Return the arguments of a library's operation that a recipe may leave out, as plain JSON."""
    module = importlib.import_module(f"train_local.augment.from_{library}")
    found: dict[str, Any] = module.defaults(op)
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """A default as JSON: tuples become lists."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
