"""Give a library's class its arguments, and tell in words what it refuses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kit.errors import KitError, did_you_mean


def find(classes: Mapping[str, Callable[..., Any]], op: str, library: str) -> Callable[..., Any]:
    """Return the class of a name.

    Raises:
        KitError: there is none; the message has the nearest names.
    """
    if op in classes:
        return classes[op]
    guess = did_you_mean(op, classes)
    raise KitError(
        f"{library} has no operation {op!r} that can be used here",
        fix=f"{guess}known are: {', '.join(sorted(classes))}",
    )


def call(make: Callable[..., Any], op: str, args: Mapping[str, Any], *, outside: Collection[str] = ()) -> Any:
    """Make an operation.

    Args:
        make: class or function.
        op: its name, for messages.
        args: its arguments.
        outside: parameters that a recipe does not set, because `p` of `Op` does.

    Raises:
        KitError: it has no such argument, lacks one, or refuses a value; the message has its signature.
    """
    signature = inspect.signature(make)
    shown = ", ".join(str(item) for name, item in signature.parameters.items() if name not in outside)
    for name in args:
        if name in outside:
            raise KitError(
                f"{op} has its probability {name!r} among its arguments", fix="set p of the Op instead"
            )
    try:
        signature.bind(**args)
        return make(**args)
    except (TypeError, ValueError, AssertionError, AttributeError) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise KitError(
            f"{op} refuses its arguments: {' '.join(told)}", fix=f"its arguments are: {shown}"
        ) from error


def defaults(make: Callable[..., Any], *, outside: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments that may be left out, with the values they then have.

    Args:
        make: class or function.
        outside: parameters that a recipe does not set, because `p` of `Op` does.
    """
    return {
        name: item.default
        for name, item in inspect.signature(make).parameters.items()
        if item.default is not inspect.Parameter.empty and name not in outside
    }
