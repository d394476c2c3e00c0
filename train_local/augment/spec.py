"""The words in which a recipe writes its augmentation: an operation, one of several, several in turn.

    augment=(
        Op(library="mmdet", op="RandomFlip", p=0.5, args={"direction": ["horizontal", "vertical"]}),
        OneOf(
            choices=(
                (Op(library="mmdet", op="Shear", p=0.4, args={"level": 0}),),
                (Op(library="mmdet", op="ColorTransform", args={"level": 6}), Op(...)),
            )
        ),
        Op(library="albumentations", op="RandomRotate90", p=0.4),
        Stain(gain=0.2, offset=0.08),
    )

`p` stands outside of `args` always; so the library's own probability (prob, flip_ratio, swap_prob, p) is no
argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np

from kit.errors import KitError
from kit.local.wording import counted
from kit.typed_json import above
from train_local.augment import libraries
from train_local.augment.colour import Colour
from train_local.augment.geometry import Geometry
from train_local.augment.operation import Example, Operation


@dataclass(frozen=True, kw_only=True)
class Op(Operation):
    """An operation of a library, by the library's own name and arguments.

    Attributes:
        op: name of the class: "RandomFlip".
        args: what the class is made with, without its probability; plain JSON values.
        library: where the class is. Names and arguments of "albumentations" are those of the published
            recipes' versions (0.5 and 1.x), which `train_local.augment.from_albumentations` translates.

    Raises:
        KitError: an argument is no JSON value. Whether operation and arguments exist, only `check` can say:
            it imports the library.
    """

    name: Literal["op"] = "op"
    op: str
    args: Mapping[str, Any] = field(default_factory=dict)
    library: libraries.Library

    def __post_init__(self) -> None:
        super().__post_init__()
        # A recipe comes back from JSON equal to itself, so a tuple (0.4, 0.9) has to be the list [0.4, 0.9]
        # from the start.
        try:
            plain = json.loads(json.dumps(self.args, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise KitError(
                f"an argument of {self.op} cannot be stored in JSON: {error}",
                fix="give numbers, texts, true, false, None, lists and dictionaries only",
            ) from error
        object.__setattr__(self, "args", plain)

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Let the library do it, with random numbers that depend on `random` only."""
        return self.made()(example, random)

    def made(self) -> libraries.Done:
        """Return the library's operation, made once in each process.

        Raises:
            KitError: the library has no such operation, or the operation refuses an argument.
        """
        return libraries.made(self.library, self.op, json.dumps(self.args))


@dataclass(frozen=True, kw_only=True)
class OneOf(Operation):
    """Draw one of `choices` and do its operations in order, each with its own probability.

    With choices ((a,), (b with p = 0.4, c)), for example, a is done in half of the cases, b in a fifth, and c
    in the half in which b may be done. That is mmdet's AutoAugment. albumentations' OneOf draws in proportion
    to its choices' p and does the drawn one for certain: its p are `weights` here, and the choice has p = 1.

    Attributes:
        choices: lists of operations.
        weights: in which proportion the choices are drawn; None draws evenly.
    """

    name: Literal["one_of"] = "one_of"
    choices: tuple[tuple[AnyOperation, ...], ...]
    weights: tuple[Annotated[float, above(0)], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.choices or (self.weights is not None and len(self.weights) != len(self.choices)):
            given = "no weights" if self.weights is None else counted(len(self.weights), "weight")
            raise KitError(
                f"OneOf has {counted(len(self.choices), 'choice')} and {given}",
                fix="give at least one choice, and no weights or one for each choice",
            )

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Draw a choice and do it."""
        if self.weights is None:
            drawn = int(random.integers(len(self.choices)))
        else:
            # Weights 1, 1, 2 end at 1, 2, 4. A number drawn from 0 to 4, say 2.7, falls to the third.
            ends = np.cumsum(self.weights)
            drawn = int(np.searchsorted(ends, random.random() * ends[-1], side="right"))
        return apply(self.choices[drawn], example, random)


@dataclass(frozen=True, kw_only=True)
class Sequence(Operation):
    """Do all `steps` in order, each with its own probability."""

    name: Literal["sequence"] = "sequence"
    steps: tuple[AnyOperation, ...]

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Do the steps."""
        return apply(self.steps, example, random)


@dataclass(frozen=True, kw_only=True)
class ByOrgan(Operation):
    """Do the operations for the organ that the image shows.

    Attributes:
        organs: the competition's name of an organ -> its operations, each with its own probability.
        otherwise: for images of other organs, or of none that is known; None lets no such image in.
    """

    name: Literal["by_organ"] = "by_organ"
    organs: Mapping[str, tuple[AnyOperation, ...]]
    otherwise: tuple[AnyOperation, ...] | None = None

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        """Do the organ's operations.

        Raises:
            KitError: there are none for it.
        """
        steps = self.organs.get(example.organ or "", self.otherwise)
        if steps is None:
            raise KitError(
                f"the recipe has no augmentation for {example.organ or 'an image whose organ is not known'}",
                fix=f"add it to the recipe's ByOrgan (it has {', '.join(self.organs)}), or write `otherwise`",
            )
        return apply(steps, example, random)


AnyOperation = Op | OneOf | Sequence | ByOrgan | Colour | Geometry
"""Every augmentation there is; `kit.typed_json` reads it from {"name": ..., options}."""


def apply(operations: Iterable[Operation], example: Example, random: np.random.Generator) -> Example:
    """Do operations in order, each with its own probability.

    An operation with p = 1 draws no number to decide whether it is done. So what an example looks like for a
    given seed depends on this rule, and a change of it changes every training.
    """
    for operation in operations:
        if operation.p >= 1 or random.random() < operation.p:
            example = operation(example, random)
    return example


def check(operations: Several[Operation], kind: libraries.Kind, *, recipe: str) -> None:
    """Make every library's operation once, so that a wrong name or argument is told before training begins.

    Args:
        operations: of a recipe.
        kind: what the recipe's network predicts.
        recipe: its name, for messages.

    Raises:
        KitError: a library has no such operation, the operation refuses an argument, or it is for the other
            kind of masks.
    """
    for operation in flat(operations):
        if not isinstance(operation, Op):
            continue
        try:
            needed = getattr(operation.made(), "needs", None)
        except KitError as error:
            raise KitError(f"recipe {recipe!r}: {error.problem}", where=error.where, fix=error.fix) from error
        if needed not in (None, kind):
            raise KitError(
                f"recipe {recipe!r}: {operation.op} of {operation.library} is for {needed} masks, "
                f"and the recipe is {kind}",
                fix="take the operation of another library: albumentations does both",
            )


def flat(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Yield all operations, those inside others too."""
    for operation in operations:
        yield operation
        if isinstance(operation, OneOf):
            for choice in operation.choices:
                yield from flat(choice)
        elif isinstance(operation, Sequence):
            yield from flat(operation.steps)
        elif isinstance(operation, ByOrgan):
            for steps in (*operation.organs.values(), operation.otherwise or ()):
                yield from flat(steps)
