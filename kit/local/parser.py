"""argparse with the kit's look: help sorted by task, with examples; advice for what was mistyped.

error: there is no option --dtaa
where: python -m train_local prepare
fix:   did you mean '--data'? python -m train_local prepare --help shows all
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from kit.errors import BAD_INPUT, KitError, did_you_mean

_WIDEST_NAME = 24
_ADVICE = "\n"
"""Between a problem and the advice for it, on their way through argparse's one message."""


class Parser(argparse.ArgumentParser):
    """A parser of one program, or of one of its verbs.

    Attributes:
        examples: whole command lines for the end of the help.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.examples: list[str] = []
        self._verbs: dict[str, list[tuple[str, str]]] = {}

    def tell(self, verb: str, text: str, *, task: str, examples: Sequence[str]) -> None:
        """Add a verb to the help.

        Args:
            verb: its name.
            text: what it does, in a sentence.
            task: heading it stands under; headings stand in the order of their first verbs.
            examples: what follows the program's name in command lines to show.
        """
        self._verbs.setdefault(task, []).append((verb, text))
        self.examples += [f"{self.prog} {example}" for example in examples]

    def format_help(self) -> str:
        """Return the help."""
        text = self._help_of_verbs() if self._verbs else super().format_help()
        if self.examples:
            text += "\n".join(["\nexamples:", *(f"  {line}" for line in self.examples), ""])
        return text

    def _help_of_verbs(self) -> str:
        width = max(shutil.get_terminal_size().columns - 2, 40)
        own = [(", ".join(item.option_strings), item.help or "") for item in self._shown()]
        sections = [*self._verbs.items(), ("options", own)]
        parts = [self.format_usage(), textwrap.fill(self.description or "", width) + "\n"]
        longest = max(len(name) for _, rows in sections for name, _ in rows)
        at = min(longest, _WIDEST_NAME) + 4
        for title, rows in sections:
            lines = [f"{title}:"]
            for name, text in rows:
                # A name that is too long for the column has a line of its own.
                first = f"  {name}".ljust(at) if len(name) + 4 <= at else f"  {name}\n{' ' * at}"
                lines.append(first + textwrap.fill(text, max(width - at, 20)).replace("\n", "\n" + " " * at))
            parts.append("\n".join(lines) + "\n")
        return "\n".join(parts)

    def _shown(self) -> list[argparse.Action]:
        return [item for item in self._actions if item.option_strings and item.help != argparse.SUPPRESS]

    def parse_known_args(  # type: ignore[override]  # argparse's types allow any namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse; an option that is unknown is told before one that is missing.

        `--dtaa DIR` instead of `--data DIR` makes both mistakes, and only the first one helps.
        """
        for word in self._before_verb(args or ()):
            flag = word.partition("=")[0]
            if flag.startswith("--") and " " not in flag and not self._knows(flag):
                self._refuse_option(flag)
        found, left = super().parse_known_args(args, namespace)
        if left:
            self._refuse_option(left[0])
        return found, left

    def _before_verb(self, args: Sequence[str]) -> list[str]:
        """The words that are this parser's: up to the verb, or up to "--"."""
        end = next(
            (at for at, word in enumerate(args) if word == "--" or (self._verbs and word[:1] != "-")), None
        )
        return list(args[:end])

    def _knows(self, flag: str) -> bool:
        # argparse takes the beginning of a name for the name.
        return any(name.startswith(flag) for item in self._actions for name in item.option_strings)

    def _refuse_option(self, word: str) -> NoReturn:
        known = [name for item in self._shown() for name in item.option_strings]
        advice = did_you_mean(word, known)
        if word.startswith("-"):
            self.error(f"there is no option {word}{_ADVICE}{advice}")
        self.error(f"unrecognized argument: {word}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(map(str, action.choices or ()))
        if action.choices is not None and value not in action.choices:
            problem = f"invalid choice: {value!r} (choose from {', '.join(choices)})"
            raise argparse.ArgumentError(action, f"{problem}{_ADVICE}{did_you_mean(str(value), choices)}")

    def error(self, message: str) -> NoReturn:
        """Print what is wrong as every command of the kit does, and end with exit code 2.

        Raises:
            SystemExit: always.
        """
        problem, _, advice = message.partition(_ADVICE)
        told = KitError(problem, where=self.prog, fix=f"{advice}{self.prog} --help shows what there is")
        self.exit(BAD_INPUT, f"error: {told}\n")

    def described(self) -> dict[str, Any]:
        """Return what can be written on this command line, in JSON's types, for the shells' completion.

        `{"verbs": {NAME: {"help": ..., **described}}}` or `{"options": [...], "arguments": [...]}`; an option
        has its "flags", "help", "values" (None for a switch) and "many", an argument all but the flags.
        """
        options, arguments, verbs = [], [], {}
        helps = {name: text for rows in self._verbs.values() for name, text in rows}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other name for it
                verbs = {
                    name: {"help": helps.get(name, ""), **parser.described()}
                    for name, parser in action.choices.items()
                }
            elif action.help != argparse.SUPPRESS and action.option_strings:
                options.append({"flags": list(action.option_strings), **_described(action)})
            elif action.help != argparse.SUPPRESS:
                arguments.append(_described(action))
        return {"verbs": verbs} if verbs else {"options": options, "arguments": arguments}


def _described(action: argparse.Action) -> dict[str, Any]:
    values = None
    if action.nargs != 0:
        known = action.choices if action.choices is not None else getattr(action, "names", ())
        values = [str(value) for value in known]
    return {
        "name": action.dest,
        "help": (action.help or "").replace("%%", "%"),
        "values": values,
        "many": action.nargs in ("+", "*") or isinstance(action.nargs, int),
    }
