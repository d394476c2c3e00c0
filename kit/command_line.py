"""Command lines made from dataclasses: one field is one option, with its type, default, limits and help.

    @dataclass(frozen=True, kw_only=True)
    class Score:
        data: Path = field(metadata=option("the competition's folder", metavar="DIR"))
        split: Literal["test", "train"] = field(default="test", metadata=option("images to look at"))
        folds: Annotated[int, at_least(2)] | None = field(default=None, metadata=option("number of folds"))

gives `--data DIR` (required, as it has no default), `--split {test,train}` and `--folds FOLDS`. Types become:

    bool             a switch: --json; with default True: --no-json
    X | None         one value, optional; limits belong to the value: Annotated[int, at_least(2)] | None
    tuple[X, ...]    several values after one option; with `repeat=True` the option is written once per value
    tuple[X, Y]      in a tuple[..., ...]: one group of values each time the option is written
    a dataclass      its own options; several commands share them that way
"""

from __future__ import annotations

import argparse
import errno
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kit.errors import KitError
from kit.typed_json import convert

T = TypeVar("T")
_KEY = "option"
_ABSENT = object()


@dataclass(frozen=True)
class _Option:
    help: str
    metavar: str | tuple[str, ...] | None
    positional: bool
    repeat: bool
    hidden: bool
    flag: str | None
    choices: Callable[[], Sequence[str]] | None
    names: Callable[[], Sequence[str]] | None
    read: Callable[[str], Any] | None


def option(
    text: str,
    *,
    metavar: str | tuple[str, ...] | None = None,
    positional: bool = False,
    repeat: bool = False,
    hidden: bool = False,
    flag: str | None = None,
    choices: Callable[[], Sequence[str]] | None = None,
    names: Callable[[], Sequence[str]] | None = None,
    read: Callable[[str], Any] | None = None,
) -> Mapping[str, Any]:
    """Metadata of a field that is an option.

    Args:
        text: its help; a default is added to it.
        metavar: what stands for the value in the help.
        positional: the value is written without an option's name.
        repeat: of a tuple: the option is written once per value.
        hidden: the help does not show it.
        flag: the option's name where it isn't the field's ("--memory-gb").
        choices: returns the values there are; called when the parser is made.
        names: returns values that are known where others are good, too (a file); for the shells' completion.
        read: makes a value of a text, where the type alone doesn't say how; may raise a `KitError`.
    """
    return {_KEY: _Option(text, metavar, positional, repeat, hidden, flag, choices, names, read)}


def parse(argv: Sequence[str], cls: type[T], *, prog: str) -> T:
    """Parse a command line without verbs; the docstring of the dataclass describes it.

    Raises:
        KitError: rules of the dataclass across options.
        SystemExit: the arguments cannot be parsed (code 2), or help was asked for (code 0).
    """
    parser = argparse.ArgumentParser(prog=prog, description=summary(cls))
    add_options(parser, cls)
    return read_options(cls, parser.parse_args(argv))


def summary(cls: type) -> str:
    """Return the first paragraph of a class's docstring as one line."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def add_options(
    parser: Any, cls: type, *, inside: Callable[[Any, Any], None] | None = None, names: bool = False
) -> None:
    """Add the options of a dataclass to a parser; fields without `option` metadata are left out.

    Args:
        parser: an `ArgumentParser`, or a group of its arguments.
        cls: the dataclass.
        inside: adds the options of a dataclass that is inside, as this function would.
        names: keep the known names of each option in its action.
    """
    for item, hint in _fields(cls):
        if is_dataclass(hint):
            (inside or add_options)(parser, hint)  # type: ignore[arg-type]  # hints are classes
        elif told := item.metadata.get(_KEY):
            flags, settings = _argument(item, hint)
            action = parser.add_argument(*flags, **settings)
            if names and told.names is not None:
                action.names = told.names()


def read_options(cls: type[T], namespace: argparse.Namespace) -> T:
    """Return the dataclass of parsed arguments; what was not written has the dataclass's default.

    Raises:
        KitError: rules of the dataclass across options.
    """
    given: dict[str, Any] = {}
    # Options that were not written are not in the namespace (SUPPRESS): only the others are handed over, and
    # the dataclass adds its defaults. So a default stands in one place.
    for item, hint in _fields(cls):
        if is_dataclass(hint):
            given[item.name] = read_options(hint, namespace)  # type: ignore[arg-type]  # hints are classes
        elif (value := getattr(namespace, item.name, _ABSENT)) is not _ABSENT:
            given[item.name] = tuple(value) if isinstance(value, list) else value
    return cls(**given)


def _fields(cls: Any) -> list[tuple[Field[Any], Any]]:
    hints = get_type_hints(cls, include_extras=True)
    return [(item, hints[item.name]) for item in fields(cls)]


def _argument(item: Field[Any], hint: Any) -> tuple[list[str], dict[str, Any]]:
    """Names and settings of one option, as `ArgumentParser.add_argument` takes them."""
    told: _Option = item.metadata[_KEY]
    base, many = _item_type(hint)
    required = item.default is MISSING and item.default_factory is MISSING
    settings: dict[str, Any] = {"help": argparse.SUPPRESS if told.hidden else _help(item, told)}
    settings["default"] = argparse.SUPPRESS
    if base is bool:
        wanted = item.default is True
        name = f"no-{item.name}" if wanted else item.name
        settings |= {"action": "store_false" if wanted else "store_true", "dest": item.name}
        return [told.flag or _flag(name)], settings
    settings["metavar"] = told.metavar
    group = get_args(base) if get_origin(base) is tuple else ()
    if told.choices is not None:
        settings["choices"] = tuple(told.choices())
    elif get_origin(base) is Literal:
        base, settings["choices"] = str, get_args(base)
    if group:
        settings |= {"nargs": len(group), "action": _Group, "const": group}
    else:
        settings["type"] = _reader(base, told.read)
    if many and told.repeat and not group:
        settings["action"] = "append"
    elif many and not group:
        settings["nargs"] = "*" if told.positional and not required else "+"
    if told.positional:
        if not many and not required:
            settings |= {"nargs": "?", "default": _ABSENT}  # argparse would read SUPPRESS, a text, as a value
        return [item.name], settings
    return [told.flag or _flag(item.name)], {**settings, "dest": item.name, "required": required}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _help(item: Field[Any], told: _Option) -> str:
    text = told.help.replace("%", "%%")
    default = item.default
    if default is MISSING or default is None or default is False or default is True or default in ("", ()):
        return text
    values = default if isinstance(default, tuple) else (default,)
    written = ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    return f"{text} (default: {written.replace('%', '%%')})"


def _item_type(hint: Any) -> tuple[Any, bool]:
    """The type of one value, and whether the option takes several: `tuple[int, ...] | None` -> int, True."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        left = [part for part in arguments if part is not type(None)]
        return _item_type(left[0]) if len(left) == 1 else (hint, False)
    if origin is tuple and arguments[-1] is ...:
        return arguments[0], True
    # Limits around a union or a tuple are not those of one value; the dataclass checks them if it is Checked.
    if origin is Annotated and get_origin(arguments[0]) in (Union, types.UnionType, tuple):
        return _item_type(arguments[0])
    return hint, False


def _reader(hint: Any, read: Callable[[str], Any] | None) -> Callable[[str], Any]:
    """Text -> value of a type; what is wrong with it becomes the parser's message."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint

    # argparse catches ArgumentTypeError alone and adds usage and the option's name to its message.
    def value_of(text: str) -> Any:
        try:
            if read is not None:
                return read(text)
            if bare in (int, float):
                return convert(hint, bare(text), "it")
            return _usable(convert(hint, text, "it"))
        except KitError as error:
            # A reader of its own knows what to write instead; of a type the problem says it.
            advice = f"; {error.fix}" if read is not None and error.fix else ""
            raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {error.problem}{advice}") from error
        except ValueError as error:
            wanted = {int: "an integer", float: "a number"}.get(bare, "a value")
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from error

    return value_of


def _usable(value: Any) -> Any:
    """Return a value; refuse a path that cannot be looked up."""
    # Path.resolve() raises a RuntimeError for a link to itself, and is_dir() an OSError for a name of 300
    # letters. What a bad mount says is left to the reader of the file, which tries again.
    try:
        if isinstance(value, Path):
            value.stat()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES):
            raise KitError(str(error.strerror), where=value, fix="name another path") from error
    return value


class _Group(argparse.Action):
    """Collects the groups of values of an option that is written several times."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: Any = None
    ) -> None:
        # --chapter a x --chapter b y  ->  [("a", Path("x")), ("b", Path("y"))]
        del parser, flag
        assert isinstance(self.const, tuple)
        texts = zip(self.const, values, strict=True)
        group = tuple(_usable(convert(hint, text, self.dest)) for hint, text in texts)
        setattr(namespace, self.dest, [*getattr(namespace, self.dest, []), group])
