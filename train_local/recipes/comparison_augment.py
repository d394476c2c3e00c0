"""Published augmentations beside ours: the same operations, whose arguments may have other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train_local.recipes.paths import MISSING, parts
from train_local.recipes.show_augmentation import defaults

_ARGUMENTS: Mapping[str, Mapping[str, str | tuple[str, ...]]] = {
    "CLAHE": {"tile": "tile_grid_size"},
    "CoarseDropout": {
        "holes": ("min_holes", "max_holes"),
        "side": ("min_height", "max_height"),
        "fill": "fill_value",
    },
    "Crop": {"x": ("x_min", "x_max"), "y": ("y_min", "y_max")},
    "CutOut": {"fill": "fill_in"},
    "Cutout": {"holes": "num_holes", "size": ("max_h_size", "max_w_size"), "fill": "fill_value"},
    "Downscale": {"scale": ("scale_min", "scale_max")},
    "GaussianBlur": {"kernel": "blur_limit"},
    "GridDropout": {"fill": "fill_value"},
    "HueSaturationValue": {"hue": "hue_shift_limit", "sat": "sat_shift_limit", "val": "val_shift_limit"},
    "RandomBrightnessContrast": {"brightness": "brightness_limit", "contrast": "contrast_limit"},
    "RandomFlip": {"directions": "direction"},
    "Rotate": {"max_deg": "max_rotate_angle", "negate_p": "random_negative_prob", "fill": "img_fill_val"},
    "Shear": {"max_shear": "max_shear_magnitude", "negate_p": "random_negative_prob", "fill": "img_fill_val"},
    "ShiftScaleRotate": {"shift": "shift_limit", "scale": "scale_limit", "rotate": "rotate_limit"},
    "Translate": {
        "max_px": "max_translate_offset",
        "negate_p": "random_negative_prob",
        "fill": "img_fill_val",
    },
}
"""Operation -> word of the published table -> argument; two arguments are the ends of a range."""


def comparable(path: str, value: Any, operations: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Return a published value of an augmentation and ours, in one form.

    Args:
        path: "augment[1].choices[0][0].args.level", or "augment.by_organ.lung[2].p" for the body's.
        value: the published value.
        operations: ours, as `show` has them.
    """
    node: Any = operations
    weight: float | None = None
    keys = parts(path)[1:]
    while keys and node is not MISSING:
        key = keys[0]
        if key in {"op", "p", "args", "defaults"} and not isinstance(node, dict):
            return value, MISSING
        if key in {"op", "p"}:
            return value, weight if key == "p" and weight is not None else node[key]
        if key in {"args", "defaults"}:
            return _argument(value, node, keys[1:])
        node, weight = _inner(node, key)
        keys = keys[1:]
    return value, MISSING


def flat_operations(operations: list[dict[str, Any]]) -> list[list[Any]]:
    """Return [name, probability] of all operations in order, those inside others too.

    An operation inside albumentations' OneOf has its weight instead of a probability.
    """
    found: list[list[Any]] = []
    for operation in operations:
        if operation["op"] == "ByOrgan":
            for steps in operation["organs"].values():
                found += flat_operations(steps)
            continue
        found.append([operation["op"], operation["p"]])
        for index, choice in enumerate(operation.get("choices", ())):
            inner = flat_operations(choice)
            if operation["weights"] is not None:
                inner[0][1] = operation["weights"][index]
            found += inner
        found += flat_operations(operation.get("steps", []))
    return found


def _inner(node: Any, key: str) -> tuple[Any, float | None]:
    """One step into our operations, and the weight of the choice that it leads into."""
    if key == "by_organ":
        return next((item["organs"] for item in node if item["op"] == "ByOrgan"), MISSING), None
    if key == "choices":
        # The published table calls the steps of a sequence choices, too.
        inner = node.get("steps", MISSING)
        return (_Choices(node) if "choices" in node else inner), None
    if isinstance(node, _Choices):
        return node.take(int(key))
    if isinstance(node, list):
        index = int(key)
        return (node[index] if index < len(node) else MISSING), None
    return node.get(key, MISSING), None


class _Choices:
    """The lists that an operation draws one of; a published list of one is written without its brackets."""

    def __init__(self, node: Mapping[str, Any]) -> None:
        self._node = node

    def take(self, index: int) -> tuple[Any, float | None]:
        """Return one of them, with its weight where it has one."""
        choices, weights = self._node["choices"], self._node["weights"]
        if index >= len(choices):
            return MISSING, None
        return (choices[index], None) if weights is None else (choices[index][0], weights[index])


def _argument(value: Any, node: dict[str, Any], keys: list[str]) -> tuple[Any, Any]:
    """An argument of one of our operations under the published word for it."""
    if node["op"] == "OneOf":
        # mmdet draws evenly and says so; albumentations says nothing.
        return (True, node["weights"] is None) if keys == ["choose"] else (value, {})
    if not keys:
        # No argument is given: ours are the library's defaults.
        mine = node.get("args", MISSING)
        return mine if mine == defaults(node["library"], node["op"]) else value, mine
    name = _ARGUMENTS.get(node["op"], {}).get(keys[0], keys[0])
    if isinstance(name, tuple):
        return value, [node.get("args", {}).get(end, MISSING) for end in name]
    ours = node.get("args", {}).get(name, MISSING)
    if keys[0] == "border" and isinstance(value, str):
        value = value.partition(" ")[0]  # "reflect101 (albumentations default)"
    index = keys[1:]
    for part in index:
        ours = ours[int(part)]
    return value, ours
