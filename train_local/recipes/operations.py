"""Short forms for the operations that several recipes use."""

from __future__ import annotations

from typing import Any

from train_local.augment import OneOf, Op


def mmdet(op: str, p: float = 1.0, **args: Any) -> Op:
    """An operation of mmdet."""
    return Op(library="mmdet", op=op, p=p, args=args)


def albumentations(op: str, p: float = 1.0, **args: Any) -> Op:
    """An operation of albumentations, with the names of the versions that the recipes were published with."""
    return Op(library="albumentations", op=op, p=p, args=args)


def one_of(p: float, *choices: tuple[float, Op]) -> OneOf:
    """Draw as albumentations' OneOf does: in proportion to the choices' weights; the drawn one is done.

    Args:
        p: probability that any is done.
        choices: pairs of weight and operation.
    """
    return OneOf(
        p=p, choices=tuple((op,) for _, op in choices), weights=tuple(weight for weight, _ in choices)
    )
