"""Options for several nox sessions in one call: each session gets those that its command knows.

    nox -s bundle upload -- kidney --no-gate --dry-run

`bundle` knows --no-gate, `upload` knows --dry-run. An option that none of them knows is an error before the
first one begins. Needs none of our dependencies: nox runs in an interpreter of its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from kit.errors import KitError, did_you_mean

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


def typed_command(argv: Sequence[str]) -> str:
    """Return the command line of nox as its user typed it, for a command that tells how to go on.

    Args:
        argv: of nox's process: [".../bin/nox", "-s", "train-all", "--", "--tiny"].
    """
    # `python -m nox` has the path of nox/__main__.py as its first word.
    program = "python -m nox" if argv[0].endswith("__main__.py") else "nox"
    return f"{program} {shlex.join(argv[1:])}".rstrip()


def mistyped(asked: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """Yield a line of advice for each session that there is not, where a known one is like it.

    Args:
        asked: names of sessions, as `asked_sessions` returns them.
        known: names of those there are.
    """
    for name in asked:
        if name not in known and (advice := did_you_mean(name, known)):
            yield f"no session is called {name!r}: {advice}`nox -l` lists all"


def meant(arguments: Iterable[str], options: Collection[str]) -> str:
    """Return "did you mean '--requirements'? " for `--req` or `--requirments`; "" if none is like an option.

    Args:
        arguments: as the user wrote them.
        options: those that must be written in full.
    """
    for flag in (_name([argument]) for argument in arguments if argument.startswith("--")):
        begun = [option for option in options if len(flag) > len("--") and option.startswith(flag)]
        advice = did_you_mean(begun[0] if len(begun) == 1 else flag, options, most=1)
        if flag not in options and advice:
            return advice
    return ""


def asks_help(arguments: Iterable[str]) -> bool:
    """Whether a session's arguments ask for help; what follows another "--" is a program's of its own."""
    return not {"--help", "-h"}.isdisjoint(takewhile(lambda argument: argument != "--", arguments))


def no_competition(names: Iterable[str], known: Collection[str], places: Iterable[Path]) -> KitError | None:
    """Return what is wrong with the first name that has no folder and is like a known one; None if none is.

    Args:
        names: competitions, as the user wrote them.
        known: those that the kit knows.
        places: folders that have a folder for each competition.
    """
    places = list(places)
    made = {path.name for place in places if place.is_dir() for path in place.iterdir() if path.is_dir()}
    for name in names:
        # "demo/kidney" is what the demo left; where it has not run, the command says which file it lacks.
        there = name in known or name.startswith("demo/") or any((place / name).is_dir() for place in places)
        if not there and (advice := did_you_mean(name, made | set(known))):
            fix = f"{advice}prepare it first: `nox -s prepare -- {name} --data DIR`"
            return KitError(f"no competition is called {name!r}", fix=fix)
    return None


def nothing_prepared(dist: Path, advice: str) -> KitError:
    """Return what is wrong where no competition is named and none is prepared.

    Args:
        dist: folder of the results. The demo has a folder of its own there; it is named, and not taken
            unasked.
        advice: for an option that was mistyped; "" if none was.
    """
    plans = [path for pattern in ("*", "demo/*") for path in dist.glob(f"{pattern}/ensemble.json")]
    made = sorted(path.parent.relative_to(dist).as_posix() for path in plans)
    named_one = f"; or name one that dist/ has, {', '.join(made)}: `-- {made[0]}`" if made else ""
    how = "run `nox -s prepare -- COMPETITION --data DIR` first"
    return KitError("no competition is prepared yet", fix=f"{advice}{how}{named_one}")


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
            fix=f"{did_you_mean(unknown[0], everywhere)}correct it, or run the session that knows it alone",
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


def command_of(commands: Mapping[str, tuple[str, ...]], name: str, argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command of a session: with --requirements, `bundle` is another one than without.

    Args:
        commands: session, or session and option ("bundle --requirements") -> command.
        name: of the session.
        argv: nox's command line.
    """
    given = {_name([argument]) for argument in argv}
    found = (commands[key] for flag in sorted(given) if (key := f"{name} {flag}") in commands)
    return next(found, commands[name])


def value_of(arguments: Sequence[str], option: str, default: str | Path) -> str:
    """Return the value that follows an option, in either form; the default if it is not there."""
    for number, argument in enumerate(arguments):
        if argument == option and number + 1 < len(arguments):
            return arguments[number + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return str(default)


def renamed(arguments: Sequence[str], option: str, name: str) -> list[str]:
    """Return the arguments with another name for an option; without the option if it has no value.

    ["--install", "dir", "--json"] becomes ["--bundle", "dir", "--json"], ["--install", "--json"] ["--json"].
    """
    found: list[str] = []
    for group in _groups(arguments):
        if _name(group) != option:
            found += group
        elif "=" in group[0]:
            found.append(f"{name}={group[0].partition('=')[2]}")
        elif len(group) > 1:
            found += [name, *group[1:]]
    return found


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
