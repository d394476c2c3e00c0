"""Plain values (JSON, TOML) <-> dataclasses: every value is checked against its field's type and limits.

    @dataclass(frozen=True, kw_only=True)
    class Windows(Checked):
        size: Annotated[int, at_least(1)]
        blend: Literal["halo", "gaussian"] = "halo"

    from_plain(Windows, {"size": 0}, where="ensemble.json")   # KitError: size is 0; it has to be at least 1
    from_plain(Windows, {"sizes": 8})                         # KitError: ... did you mean 'size'?
    Windows(size=0)                                           # the same error, because Windows is `Checked`
    to_plain(Windows(size=8))                                 # {"size": 8, "blend": "halo"}

Known types: str, int, float, bool, None, Any, Path, Literal, unions, lists, tuples, mappings, dataclasses and
any other class (the value has to be an instance of it). An integer may stand for a float, and one value for a
tuple of one; every float is finite. In a union of dataclasses the `Literal` fields tell which one is meant.
"""

from __future__ import annotations

import math
import reprlib
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kit.errors import KitError, did_you_mean

T = TypeVar("T")
_NAMES = {str: "a text", int: "an integer", float: "a number", bool: "true or false", Path: "a path"}


@dataclass(frozen=True)
class Limit:
    """A condition on one value, for `Annotated[type, limit]`; messages say "it has to be" and the words."""

    holds: Callable[[Any], bool]
    words: str


def at_least(low: float) -> Limit:
    """A value that is not smaller than `low`."""
    return Limit(lambda value: bool(value >= low), f"at least {low}")


def at_most(high: float) -> Limit:
    """A value that is not larger than `high`."""
    return Limit(lambda value: bool(value <= high), f"at most {high}")


def above(low: float) -> Limit:
    """A value that is larger than `low`."""
    return Limit(lambda value: bool(value > low), f"above {low}")


def below(high: float) -> Limit:
    """A value that is smaller than `high`."""
    return Limit(lambda value: bool(value < high), f"below {high}")


ODD = Limit(lambda value: value % 2 == 1, "odd")
Fraction = Annotated[float, at_least(0), at_most(1)]
"""A number in [0, 1]."""


class Checked:
    """Base of dataclasses that check and convert their fields when code makes them, too.

    A subclass with rules across fields writes its own `__post_init__`, which calls this one first.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]  # classes can be hashed
            place = _Place(name, type(self).__name__, None)
            # The dataclasses are frozen; the converted value replaces the given one: 1 -> 1.0, [1] -> (1.0,).
            object.__setattr__(self, name, _converted(hint, getattr(self, name), place))


def from_plain(
    cls: type[T],
    value: Any,
    *,
    where: str | Path | None = None,
    fix: str | None = None,
    schema: int | None = None,
) -> T:
    """Make a dataclass from a plain value.

    Args:
        cls: the dataclass.
        value: mapping of its fields' names to plain values.
        where: the file or object that holds the value, for messages.
        fix: what else the reader can do about a fault, for messages: "run `bundle` again".
        schema: version that the value has to state under the key "schema", which is no field.

    Raises:
        KitError: a key is missing or unknown, or a value has the wrong type or is outside its limits.
    """
    place = _Place("", None if where is None else str(where), fix)
    if schema is not None and isinstance(value, Mapping):
        if (found := value.get("schema")) != schema:
            problem = f"{cls.__name__.lower()} schema {shown(found)}, expected {schema}"
            raise place.error(problem, "the file is of another version of the kit")
        value = {key: item for key, item in value.items() if key != "schema"}
    made: T = _converted(cls, value, place)
    return made


def convert(
    hint: Any, value: Any, key: str, *, where: str | Path | None = None, fix: str | None = None
) -> Any:
    """Check one plain value against a type and convert it; arguments as in `from_plain`.

    Args:
        hint: the type, as it stands in an annotation.
        value: the plain value.
        key: how messages name the value.
        where: as in `from_plain`.
        fix: as in `from_plain`.

    Raises:
        KitError: the value has the wrong type or is outside its limits.
    """
    return _converted(hint, value, _Place(key, None if where is None else str(where), fix))


def to_plain(value: Any, *, leave_out_none: bool = False) -> Any:
    """Return the plain value that `from_plain` reads: dictionaries, lists, texts and numbers.

    Args:
        value: a dataclass, or containers with dataclasses in them.
        leave_out_none: leave out the fields that are None, so that a new optional field changes no old file.
    """
    if is_dataclass(value) and not isinstance(value, type):
        items = {item.name: getattr(value, item.name) for item in fields(value)}
        return {
            name: to_plain(item, leave_out_none=leave_out_none)
            for name, item in items.items()
            if not (leave_out_none and item is None)
        }
    if isinstance(value, Mapping):
        return {name: to_plain(item, leave_out_none=leave_out_none) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, leave_out_none=leave_out_none) for item in value]
    return str(value) if isinstance(value, Path) else value


def shown(value: Any) -> str:
    """Return a value as messages show it: cut if it is long or deep."""
    # Not repr(): a dotted TOML key of 3000 parts is 3000 tables deep and ends in a RecursionError.
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = 80
    return short.repr(value)


# The annotations are texts ("Count | None"), because every module imports annotations from __future__.
# Python evaluates them in the module of each class, which sys.modules has; that holds in predict.py, too.
@cache
def _hints(cls: Any) -> dict[str, Any]:
    """The types of a dataclass's fields, with their limits."""
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: hints[item.name] for item in _settable(cls)}


def _settable(cls: Any) -> list[Field[Any]]:
    return [item for item in fields(cls) if item.init]


@dataclass(frozen=True)
class _Place:
    """Where a value stands: its key with dots ("truth.file"), the file, and the advice for messages."""

    key: str
    where: str | None
    fix: str | None

    def inside(self, name: object) -> _Place:
        return _Place(f"{self.key}.{name}" if self.key else str(name), self.where, self.fix)

    def item(self, index: int) -> _Place:
        return _Place(f"{self.key}[{index}]", self.where, self.fix)

    @property
    def table(self) -> str | None:
        """The file and the table in it: "my.toml [truth]"."""
        return f"{self.where or ''} [{self.key}]".strip() if self.key else self.where

    def error(self, problem: str, advice: str, *, in_table: bool = False) -> KitError:
        fix = f"{advice}; {self.fix}" if self.fix else advice
        return KitError(problem, where=self.table if in_table else self.where, fix=fix)

    def wrong(self, value: Any, wanted: str) -> KitError:
        return self.error(f"{self.key or 'this'} is {shown(value)}, not {wanted}", f"write {wanted}")

    def unknown(self, value: Any, choices: Sequence[Any]) -> KitError:
        return self.error(f"{self.key} is {shown(value)}", f"use one of: {', '.join(map(repr, choices))}")


def _converted(hint: Any, value: Any, place: _Place) -> Any:
    """A value as the type `hint` has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        result = _converted(arguments[0], value, place)
        _require_limits(arguments[1:], result, place)
        return result
    if origin is Literal:
        # 1 == True == 1.0: only a value of the same type is one of the choices.
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        raise place.unknown(value, arguments)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, place)
    if is_dataclass(hint):
        return _table(hint, value, place)
    if origin is not None:
        return _container(origin, arguments, value, place)
    return _simple(hint, value, place)


def _require_limits(limits: Sequence[Any], value: Any, place: _Place) -> None:
    known = [limit for limit in limits if isinstance(limit, Limit)]
    if value is not None and not all(limit.holds(value) for limit in known):
        words = " and ".join(limit.words for limit in known)
        raise place.error(f"{place.key} is {shown(value)}; it has to be {words}", "correct it")


def _one_of(hints: Sequence[Any], value: Any, place: _Place) -> Any:
    """Return a value as the first type of a union that accepts it."""
    if value is None and type(None) in hints:
        return None
    left = [hint for hint in hints if hint is not type(None)]
    if isinstance(value, Mapping) and any(map(is_dataclass, left)):
        left = _meant(left, value, place)
    # `int | str` and "7": int refuses the text, str takes it. If none takes the value, the message is that of
    # the last type.
    for hint in left[:-1]:
        try:
            return _converted(hint, value, place)
        except KitError:
            continue
    return _converted(left[-1], value, place)


def _meant(hints: Sequence[Any], value: Mapping[Any, Any], place: _Place) -> list[Any]:
    """The dataclasses of a union whose `Literal` fields take the value's: `kind: Literal["curve"]`."""
    # Two dataclasses with kind: Literal["curve"] and kind: Literal["temperature"], and {"kind": "curve"}: the
    # first one is meant, so a fault is told of the curve's keys. {"kind": "line"} fits none: tell both kinds.
    left: list[Any] = [hint for hint in hints if is_dataclass(hint)]
    for name, item in value.items():
        types_here = [_hints(hint).get(name) for hint in left]
        if not all(get_origin(kind) is Literal for kind in types_here):
            continue
        left = [hint for hint, kind in zip(left, types_here, strict=True) if item in get_args(kind)]
        if not left:
            raise place.inside(name).unknown(
                item, [choice for kind in types_here for choice in get_args(kind)]
            )
    return left


def _table(cls: Any, value: Any, place: _Place) -> Any:
    """A dataclass of a mapping's values; one that is made already passes."""
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise place.wrong(value, "a table")
    hints = _hints(cls)
    for key in value:
        if key not in hints:
            guess = did_you_mean(str(key), hints, most=1)
            problem = f"unknown key {place.inside(key).key}"
            raise place.error(problem, f"{guess}keys are: {', '.join(hints)}", in_table=True)
    taken = {key: _converted(hints[key], item, place.inside(key)) for key, item in value.items()}
    for item in _settable(cls):
        if item.name not in value and item.default is MISSING and item.default_factory is MISSING:
            raise place.error(f"{place.inside(item.name).key} is missing", "add it", in_table=True)
    try:
        return cls(**taken)
    except KitError as error:
        raise KitError(error.problem, where=error.where or place.table, fix=error.fix or place.fix) from error


def _container(origin: Any, arguments: Sequence[Any], value: Any, place: _Place) -> Any:
    """A list, tuple or mapping with all its items converted."""
    if issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise place.wrong(value, "a table")
        key_hint, item_hint = arguments
        return {
            _converted(key_hint, name, place): _converted(item_hint, item, place.inside(name))
            for name, item in value.items()
        }
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not ...):
        if not isinstance(value, list | tuple) or len(value) != len(arguments):
            raise place.wrong(value, f"a list of {len(arguments)}")
        return tuple(
            _converted(hint, item, place.item(index))
            for index, (hint, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin in (list, tuple, Sequence):
        # In TOML people write `iou = 0.5` where one number is the rule: a tuple takes it as (0.5,). A list
        # does not, so that a JSON table in place of a list is a fault.
        single = origin is tuple and not isinstance(value, list | tuple)
        if not single and not isinstance(value, list | tuple):
            raise place.wrong(value, "a list")
        items = [value] if single else value
        made = [
            _converted(arguments[0], item, place if single else place.item(index))
            for index, item in enumerate(items)
        ]
        return made if origin is list else tuple(made)
    return _simple(origin, value, place)


def _simple(hint: Any, value: Any, place: _Place) -> Any:
    """A text, a number, a switch, a path, or an instance of any other class."""
    if hint is Any:
        return value
    if hint is None or hint is type(None):
        if value is not None:
            raise place.wrong(value, "empty")
        return None
    if hint is Path:
        if not isinstance(value, str | Path):
            raise place.wrong(value, _NAMES[Path])
        return Path(value)
    # bool is a subclass of int: `size = true` would be the size 1.
    allowed = (int, float) if hint is float else hint
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint in (int, float)):
        raise place.wrong(value, _NAMES.get(hint, f"a {getattr(hint, '__name__', hint)}"))
    if hint is not float:
        return value
    try:
        number = float(value)
    except OverflowError as error:
        raise place.error(f"{place.key} is too large", f"write {_NAMES[float]}") from error
    if not math.isfinite(number):
        raise place.error(f"{place.key} is {number}, not a finite number", "correct it")
    return number
