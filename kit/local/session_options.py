"""Options for several nox sessions in one call: each session gets those that its command knows.

    nox -s bundle upload -- kidney --no-gate --dry-run

`bundle` knows --no-gate, `upload` knows --dry-run. An option that none of them knows is an error before the
first one begins. Needs none of our dependencies: nox runs in an interpreter of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from kit.errors import KitError

_FLAGS = ("-s", "-e", "--session", "--sessions")


def asked_sessions(argv: Sequence[str]) -> list[str]:
    """Return the sessions that a command line of nox names; none if it names none.

    Args:
        argv: `["-s", "bundle", "upload", "--", "kidney"]`, what follows "--" is the sessions' own.
    """
    names: list[str] = []
    taking = False
    for argument in argv:
        if argument == "--":
            break
        if argument.startswith("-"):
            flag, _, value = argument.partition("=")
            taking = flag in _FLAGS
            names += [value] if taking and value else []
        elif taking:
            names.append(argument)
    return names


def known_options(help_text: str) -> set[str]:
    """Return the options that a command's help lists: "  --out DIR   the folder" has --out."""
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", help_text))


def own_options(arguments: Sequence[str], session: str, known: Mapping[str, Collection[str]]) -> list[str]:
    """Return the options that are for one session, with their values.

    Args:
        arguments: options of all sessions: `["--no-gate", "--owner", "me", "--dry-run"]`.
        session: name of the one.
        known: name of every session of the call -> options that it knows.

    Raises:
        KitError: no session of the call knows an option.
    """
    groups = list(_groups(arguments))
    everywhere = {option for options in known.values() for option in options}
    if unknown := [group[0] for group in groups if _name(group) not in everywhere]:
        raise KitError(
            f"none of the sessions {', '.join(known)} knows {', '.join(unknown)}",
            where="what follows -- on nox's command line",
            fix="correct the option, or run the session that knows it alone",
        )
    return [argument for group in groups if _name(group) in known[session] for argument in group]


def _groups(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Yield each option with its values: ["--only", "a"], ["--dry-run"]."""
    group: list[str] = []
    for argument in arguments:
        # "-1" is a value, "-v" and "--verbose" are options.
        if re.match(r"--?[A-Za-z]", argument) and group:
            yield group
            group = []
        group.append(argument)
    if group:
        yield group


def _name(group: Sequence[str]) -> str:
    return group[0].partition("=")[0]


def with_defaults(arguments: list[str], **defaults: str | Path) -> list[str]:
    """Return the arguments, with `--name value` for every default whose option the user did not give."""
    # What follows "--" is for the program that the command runs: it does not count, and stays at the end.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given = {argument.split("=")[0] for argument in arguments[:end]}
    # "--out=x" and "--out x" both count as given.
    missing = {f"--{name.replace('_', '-')}": str(value) for name, value in defaults.items()}
    return [
        *arguments[:end],
        *(part for name, value in missing.items() if name not in given for part in (name, value)),
        *arguments[end:],
    ]
