"""The text of predict.py: its parts as readable strings, and the lines that start it.

The renderer writes with `script_text`. The running script uses it too, to write itself to a file when it came
through a pipe or a notebook cell, because its workers have to be started from a file.
"""

from __future__ import annotations

from collections.abc import Mapping

QUOTES = "'" * 3
"""Encloses every part that does not contain it."""

_NEWLINE = "\n"

IMPORTER = "submission/runtime/script/importer.py"
"""The part that the last lines execute."""
MAIN = "submission/runtime/main"
"""The module whose `main` the importer calls; not by its name, as install.py carries this file without it."""

_TAIL = f"""\
if __name__ == "__main__":
    import signal

    # Signals wait until the importer has handlers: the fallback is written even so.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    importer = "{IMPORTER}"
    boot = {{"__name__": importer[:-3].replace("/", ".")}}
    exec(compile(PARTS[importer][1:], importer, "exec"), boot)
    boot["run"](__doc__, PARTS, globals().get("__file__"), "{MAIN.replace("/", ".")}")
"""


def script_text(header: str, parts: Mapping[str, str], tail: str = _TAIL) -> str:
    """Return the text of a script; the same arguments give the same text.

    Args:
        header: the script's docstring, for people.
        parts: path -> text, e.g. "kit/errors.py". Each text ends with a newline.
        tail: the lines that start the program, by default predict.py's.
    """
    # Not a docstring but an assignment: `python -OO` leaves docstrings out.
    lines = ["#!/usr/bin/env python3\n", f"__doc__ = {literal(header)}\n\nPARTS = {{}}\n"]
    # A newline after the opening quotes keeps a part's first line in column 0; `part_text` removes it again.
    lines += [f"\nPARTS[{literal(path)}] = {literal(_NEWLINE + text)}\n" for path, text in parts.items()]
    return "".join(lines) + "\n\n" + tail


def literal(text: str) -> str:
    """Return Python code whose value is a text, whatever the text holds: readable if it can be, else escaped.

    This alone puts texts into predict.py, so that none of them can become code.
    """
    # A short text is written "a", one of several lines stands between three quotes. A raw string can't hold
    # three quotes or end with a quote or backslash. What can't be printed is escaped: Python reads "\r" as
    # "\n" and refuses NUL and half a surrogate pair; an editor shows right-to-left marks as other code.
    printable = text.replace("\n", "").isprintable()
    if "\n" not in text and printable and not {'"', "\\"} & set(text):
        return f'"{text}"'
    if printable and QUOTES not in text and not text.endswith(("'", "\\")):
        return f"r{QUOTES}{text}{QUOTES}"
    return ascii(text)


def part_text(part: str) -> str:
    """Return a part as its file had it: without the newline that follows the opening quotes."""
    return part[1:]
