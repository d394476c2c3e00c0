"""An answer of the server in one form, whichever of its forms the server wrote.

The rest of the kit reads the answer's JSON and not the SDK's objects, because there a field that was left
out and one with its default are the same. But one value has several forms on the wire, which the SDK reads:

    "CANCEL_ACKNOWLEDGED", "cancelAcknowledged", "CancelAcknowledged"  ->  "CANCEL_ACKNOWLEDGED"
    "4096" (as protocol buffers write large numbers), 4096             ->  4096
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any


class Misfit(ValueError):  # noqa: N818 - says what an answer is, not what went wrong here
    """A value has another type than the SDK's field."""


def in_one_form(answer_type: Any, value: dict[str, Any], where: str = "the answer") -> dict[str, Any]:
    """Return an answer with the values of known fields in one form; unknown fields stay as they are.

    Args:
        answer_type: the SDK's class of the answer.
        value: the JSON object.
        where: names it in messages.

    Raises:
        Misfit: where the SDK has a list, object, number or boolean, something else stands. Texts are not
            checked: `"error": {...}` is a refusal.
    """
    known = {field.json_name: field for field in answer_type._fields}
    return {
        name: _of_field(known[name], item, f"{where}'s {name}")
        if name in known and item is not None
        else item
        for name, item in value.items()
    }


def _of_field(field: Any, value: Any, where: str) -> Any:
    if isinstance(field.default_value, dict):
        return value  # pragma: no cover - a map: none of the answers that are read here has one
    if not isinstance(field.default_value, list):
        return _one(field.field_type, value, where)
    if not isinstance(value, list):
        raise Misfit(f"{where} is no list: {str(value)[:80]!r}")
    return [_one(field.field_type, item, where) for item in value]


def _one(kind: Any, value: Any, where: str) -> Any:
    if hasattr(kind, "_fields"):
        if not isinstance(value, dict):
            raise Misfit(f"{where} is no object: {str(value)[:80]!r}")
        return in_one_form(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, value)
    if kind is bool and not isinstance(value, bool):
        raise Misfit(f"{where} is neither true nor false: {str(value)[:80]!r}")
    if kind is int:
        try:
            return _whole(value)
        except (TypeError, ValueError, OverflowError):
            raise Misfit(f"{where} is no whole number: {str(value)[:80]!r}") from None
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _member(kind: type[Enum], value: Any) -> Any:
    """The name of an enum's member; a value that the SDK does not know may be newer and stays as it is."""
    # "KERNEL_WORKER_STATUS_COMPLETE" and "KernelWorkerStatus.COMPLETE" carry the name of the enum.
    letters = _letters(str(value))
    names = {_letters(name): name for name in kind.__members__}
    return names.get(letters) or names.get(letters.removeprefix(_letters(kind.__name__)), value)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
