"""Command lines with verbs: `bundle build`, `bundle wheel mmcv`.

Each verb has a dataclass of options, and `kit.command_line` makes the verb's part of the parser from it. All
such command lines have one look, one advice for what was mistyped, `--version`, and one end after Ctrl-C.
`--describe`, which the help does not show, prints the command line for the shells' completion.

predict.py has no verbs, so this module stands among the local ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from kit.command_line import add_options, read_options, summary
from kit.local.parser import Parser
from kit.local.program import DONE, Interruption, command_line
from kit.local.version import version

DESCRIBE = "--describe"


@dataclass(frozen=True)
class Verb:
    """One verb of a command line.

    Attributes:
        name: the word that the user types.
        options: the dataclass of its options; the first paragraph of its docstring is the verb's help.
        run: takes an instance of `options` and returns the exit code.
        task: heading under which the program's help lists it.
        examples: what follows the program's name in good command lines, such as "wheel mmcv --out wheels".
        kept: what Ctrl-C leaves on the disk, in a few words: the user is told, with the command that goes on.
    """

    name: str
    options: type
    run: Callable[[Any], int]
    task: str = "other"
    examples: tuple[str, ...] = ()
    kept: str = "nothing was written"


@dataclass(frozen=True)
class Verbs:
    """A verb that has verbs of its own: the `wheel` of `bundle wheel mmcv`."""

    name: str
    help: str
    verbs: Sequence[Verb | Verbs]
    task: str = "other"
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A command line.

    Attributes:
        prog: how it is started, "python -m bundle".
        description: what it is for, in a sentence.
        verbs: in the order of the help.
    """

    prog: str
    description: str
    verbs: Sequence[Verb | Verbs]

    def parser(self) -> Parser:
        """Return its parser, with a parser for each verb in it."""
        parser = Parser(prog=self.prog, description=self.description)
        parser.add_argument("--version", action="version", version=version(), help="show the kit's version")
        parser.add_argument(DESCRIBE, action=_Describe, nargs=0, help=argparse.SUPPRESS)
        _add_verbs(parser, self.verbs)
        return parser

    def run(self, argv: Sequence[str]) -> int:
        """Parse a command line, run the verb that it names and return the exit code.

        Raises:
            KitError: bad input.
            Interruption: Ctrl-C while the verb ran.
            SystemExit: the arguments cannot be parsed (code 2), or help was asked for (code 0).
        """
        namespace = self.parser().parse_args(argv)
        verb: Verb = namespace.verb
        try:
            return verb.run(read_options(verb.options, namespace))
        except KeyboardInterrupt as stop:
            # A verb may run another one (`job` runs `prepare`); the user typed the outer one.
            raise Interruption(verb.kept, command_line(self.prog, argv)) from stop


def every_verb(verbs: Sequence[Verb | Verbs], before: tuple[str, ...] = ()) -> Iterator[tuple[str, Verb]]:
    """Yield the words that name each verb, and the verb: ("wheel mmcv", ...)."""
    for verb in verbs:
        words = (*before, verb.name)
        if isinstance(verb, Verbs):
            yield from every_verb(verb.verbs, words)
        else:
            yield " ".join(words), verb


def _add_verbs(parser: Parser, verbs: Sequence[Verb | Verbs]) -> None:
    choices = parser.add_subparsers(required=True, metavar="VERB")
    for verb in verbs:
        if isinstance(verb, Verbs):
            own = choices.add_parser(verb.name, description=verb.help)
            text = verb.help
            _add_verbs(own, verb.verbs)
        else:
            text = summary(verb.options)
            own = choices.add_parser(verb.name, description=text)
            _add_grouped(own, verb.options)
            _require_own_names(verb)
            # The deepest parser that reads the command line decides: `wheel mmcv` sets the verb mmcv.
            own.set_defaults(verb=verb)
        parser.tell(verb.name, text, task=verb.task, examples=verb.examples[:1])
        own.examples = [f"{parser.prog.removesuffix(' ' + verb.name)} {text}" for text in verb.examples]


def _add_grouped(parser: Parser, cls: type) -> None:
    """Add a dataclass's options; those of a dataclass inside it stand under its own heading."""

    def inside(_: Any, part: type) -> None:
        add_options(
            parser.add_argument_group(summary(part).removesuffix(".")), part, inside=inside, names=True
        )

    add_options(parser, cls, inside=inside, names=True)


class _Describe(argparse.Action):
    """Prints the command line in JSON."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        print(json.dumps(parser.described()))
        parser.exit(DONE)


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
