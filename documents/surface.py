"""tests/public_surface.txt: the names that people script against.

Verbs and flags of all command lines, the sessions of noxfile.py, and the public names of the modules that
others import, with their signatures. A change of that file is a change for users: it belongs into the
CHANGELOG.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from kit.models import openmmlab

COMMANDS = (
    "kit",
    "kit.models",
    "train_local",
    "bundle",
    "submission",
    "benchmarks",
    "documents",
)
MODULES = ("kit.models", "kit.competitions", "kit.errors", "cbnetv2", "vit_adapter")
_HEAD = """What people script against: command lines, sessions, functions. A removed or changed line breaks
somebody's script: say so in CHANGELOG.md. `python -m documents write surface` writes this file again.
"""


def page(root: Path) -> str:
    """Return the text of tests/public_surface.txt.

    Args:
        root: the repository.
    """
    parts = [_HEAD, "sessions", *(f"  {name}" for name in sessions(root))]
    for module in COMMANDS:
        parts += ["", f"python -m {module}", *(f"  {line}" for line in command_lines(module))]
    for module in MODULES:
        parts += ["", module, *(f"  {line}" for line in public_names(module))]
    return "\n".join(parts) + "\n"


def sessions(root: Path) -> list[str]:
    """Return the names of nox's sessions; those of recipes are one: train-<recipe>."""
    text = (root / "noxfile.py").read_text(encoding="utf-8")
    named = re.findall(r'^@nox\.session(?:\(name="([\w-]+)"\))?\ndef (\w+)', text, re.MULTILINE)
    return sorted([*(name or function for name, function in named), "train-<recipe>"])


def command_lines(module: str) -> Iterator[str]:
    """Yield a line for each verb of a command line, with its flags: "build --ensemble FILE --out DIR"."""
    yield from _verbs(_parser_of(module), ())


class _Reached(BaseException):
    """The command line has made its parser."""


def _parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a module's main makes, taken when it is about to read the command line."""
    made: list[argparse.ArgumentParser] = []

    def take(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        made.append(parser)
        raise _Reached

    main = importlib.import_module(f"{module}.__main__").main
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", take),
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", take),
        contextlib.suppress(_Reached),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        main(["--help"])
    return made[0]


def _verbs(parser: argparse.ArgumentParser, verb: tuple[str, ...]) -> Iterator[str]:
    groups = [
        action
        for action in parser._actions  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - as above
    ]
    if not groups:
        yield " ".join([*verb, *sorted(_words(parser))])
    for group in groups:
        for name, inner in sorted(group.choices.items()):
            yield from _verbs(inner, (*verb, name))


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Each option of a verb: "--out=OUT" if it is required, "[--json]" if not, NAME for a positional."""
    for action in parser._actions:  # noqa: SLF001 - as above
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):  # noqa: SLF001
            continue
        flag = action.option_strings[-1] if action.option_strings else action.dest.upper()
        many = "..." if action.nargs in {"+", "*"} or isinstance(action, argparse._AppendAction) else ""  # noqa: SLF001
        value = "=" if action.option_strings and action.nargs != 0 else ""
        needed = action.required if action.option_strings else action.nargs not in {"?", "*"}
        yield f"{flag}{value}{many}" if needed else f"[{flag}{value}{many}]"


def public_names(module: str) -> Iterator[str]:
    """Yield the public names of a module with their signatures, sorted: those of `__all__` if it has one."""
    with openmmlab.quiet():
        loaded = importlib.import_module(module)
    own = [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", module).partition(".")[0] == module.partition(".")[0]
    ]
    for name in sorted(getattr(loaded, "__all__", own)):
        value = getattr(loaded, name)
        yield f"{name}{_signature(value)}"
        if inspect.isclass(value) and value.__module__.partition(".")[0] == module.partition(".")[0]:
            for inner, member in sorted(vars(value).items()):
                if not inner.startswith("_") and callable(getattr(value, inner)):
                    yield f"  {name}.{inner}{_signature(getattr(value, inner))}"
                elif isinstance(member, property):
                    yield f"  {name}.{inner}"


def _signature(value: object) -> str:
    if not callable(value):
        return ""
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    except (TypeError, ValueError):  # a type of a C library, an exception
        return ""
