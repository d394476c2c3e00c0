"""Command lines with verbs: `bundle build`, `bundle wheel mmcv`.

Each verb has a dataclass of options, and `kit.command_line` makes the verb's part of the parser from it.
predict.py has no verbs, so this module stands among the local ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from kit.command_line import add_options, read_options, summary


@dataclass(frozen=True)
class Verb:
    """One verb of a command line.

    Attributes:
        name: the word that the user types.
        options: the dataclass of its options; the first paragraph of its docstring is the verb's help.
        run: takes an instance of `options` and returns the exit code.
    """

    name: str
    options: type
    run: Callable[[Any], int]


@dataclass(frozen=True)
class Verbs:
    """A verb that has verbs of its own: the `wheel` of `bundle wheel mmcv`."""

    name: str
    help: str
    verbs: Sequence[Verb | Verbs]


def run_verb(argv: Sequence[str], verbs: Sequence[Verb | Verbs], *, prog: str, description: str) -> int:
    """Parse a command line of verbs, run the verb that it names and return the exit code.

    Raises:
        KitError: bad input.
        SystemExit: the arguments cannot be parsed (code 2), or help was asked for (code 0).
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    _add_verbs(parser, verbs)
    namespace = parser.parse_args(argv)
    verb: Verb = namespace.verb
    return verb.run(read_options(verb.options, namespace))


def _add_verbs(parser: argparse.ArgumentParser, verbs: Sequence[Verb | Verbs]) -> None:
    choices = parser.add_subparsers(required=True, metavar="VERB")
    for verb in verbs:
        if isinstance(verb, Verbs):
            _add_verbs(choices.add_parser(verb.name, help=verb.help, description=verb.help), verb.verbs)
            continue
        # argparse formats a help with %, but not a description: "50% of it" is "50%% of it" in the help only.
        text = summary(verb.options)
        own = choices.add_parser(verb.name, help=text.replace("%", "%%"), description=text)
        add_options(own, verb.options)
        _require_own_names(verb)
        # The deepest parser that reads the command line decides: `wheel mmcv` sets the verb mmcv.
        own.set_defaults(verb=verb)


def _require_own_names(verb: Verb) -> None:
    """Refuse two fields of one name in a verb's options and in the dataclasses inside them.

    argparse keeps one value for a name: with two of `cache`, `--weights-cache X` would also set `--cache`.

    Raises:
        TypeError: names the field; a fault of the program.
    """
    names = list(_field_names(verb.options))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TypeError(f"the options of {verb.name} have two fields with the name {', '.join(twice)}")


def _field_names(cls: Any) -> Iterator[str]:
    hints = get_type_hints(cls)
    for item in fields(cls):
        if is_dataclass(hints[item.name]):
            yield from _field_names(hints[item.name])
        else:
            yield item.name
