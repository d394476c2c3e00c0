"""What can be typed where: the command lines of all programs as one flat list, which every shell can use.

Each program tells its own command line (`--describe`), so this package imports none of them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kit.errors import KitError
from kit.local.verbs import DESCRIBE
from kit.local.version import root

PROGRAMS = ("kit", "kit.models", "train_local", "bundle", "submission", "benchmarks")
_PLAIN = re.compile(r"[\w.+@/-]+")
"""Words that mean the same in every shell."""


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        flags: its names.
        help: what it is for.
        values: words that can follow; None for a switch, empty where any value or file may follow.
    """

    flags: tuple[str, ...]
    help: str
    values: tuple[str, ...] | None


@dataclass(frozen=True)
class Place:
    """What can be typed after some words.

    Attributes:
        path: the words: "train_local train".
        words: verbs, or known values of the arguments.
        helps: word -> what it is for, where that is known.
        options: of a verb.
        files: whether an argument may be a file: one of which no values are known, or whose help says FILE.
    """

    path: str
    words: tuple[str, ...]
    helps: Mapping[str, str]
    options: tuple[Option, ...]
    files: bool = True


def places() -> list[Place]:
    """Return all places, programs in their order.

    Raises:
        KitError: a program does not tell its command line, in most cases because a package is missing.
    """
    return [place for name in PROGRAMS for place in places_of(name, described(name))]


def described(program: str) -> dict[str, Any]:
    """Ask a program for its command line: what `kit.local.parser.Parser.described` returns.

    Raises:
        KitError: it does not answer.
    """
    command = [sys.executable, "-m", program, DESCRIBE]
    done = subprocess.run(command, cwd=root(), capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines() or ["it says nothing"]
        raise KitError(
            f"`python -m {program}` does not tell its command line: {last[0]}",
            where=sys.executable,
            fix=last[-1].strip().removeprefix("fix:").strip(),
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def places_of(path: str, told: Mapping[str, Any]) -> Iterator[Place]:
    """Yield the places of a program, or of a verb, and of all verbs below it."""
    verbs = told.get("verbs", {})
    options = tuple(
        Option(tuple(item["flags"]), item["help"], None if item["values"] is None else _plain(item["values"]))
        for item in told.get("options", ())
    )
    arguments = told.get("arguments", ())
    words = [word for item in arguments for word in item["values"] or ()]
    files = not words or any(not item["values"] or "FILE" in item["help"] for item in arguments)
    helps = {name: verb["help"] for name, verb in verbs.items()}
    yield Place(path, _plain([*verbs, *words]), helps, options, files)
    for name, verb in verbs.items():
        yield from places_of(f"{path} {name}", verb)


def _plain(words: list[str]) -> tuple[str, ...]:
    """The words that need no quotes, each once."""
    return tuple(word for word in dict.fromkeys(words) if _PLAIN.fullmatch(word))
