"""Augmentations as data: operations of other libraries by name, and ways to combine operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from kit.errors import KitError
from kit.typed_json import Checked, Fraction, above
from train_local.augment.colour import Colour
from train_local.augment.geometry import Geometry


@dataclass(frozen=True, kw_only=True)
class Op(Checked):
    """An operation of a library, with the library's own words.

    Attributes:
        op: name of its class: "RandomFlip", "ShiftScaleRotate".
        p: probability that it is done.
        args: the class's arguments, without its probability.
        library: where the class is.
    """

    name: Literal["op"] = "op"
    op: str
    p: Fraction = 1.0
    args: Mapping[str, Any] = field(default_factory=dict)
    library: Literal["mmdet", "albumentations"]


@dataclass(frozen=True, kw_only=True)
class OneOf(Checked):
    """Do one of several lists of operations; each operation of it is then done with its own probability.

    Attributes:
        p: probability that any is done.
        choices: lists of operations.
        weights: of the draw; None draws each list equally often.

    Raises:
        KitError: the number of weights is not that of the choices.
    """

    name: Literal["one_of_lists"] = "one_of_lists"
    p: Fraction = 1.0
    choices: tuple[tuple[AnyStep, ...], ...]
    weights: tuple[Annotated[float, above(0)], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and len(self.weights) != len(self.choices):
            raise KitError(
                f"OneOf has {len(self.choices)} choices and {len(self.weights)} weights",
                fix="give one weight to each choice, or None for equal ones",
            )


@dataclass(frozen=True, kw_only=True)
class Sequence(Checked):
    """Do operations in order, each with its own probability.

    Attributes:
        p: probability that any is done.
        steps: the operations.
    """

    name: Literal["sequence"] = "sequence"
    p: Fraction = 1.0
    steps: tuple[AnyStep, ...]


AnyStep = Op | OneOf | Sequence | Colour | Geometry
"""Whatever may stand in a list of operations."""
