"""Errors that a tired person understands at 2 a.m.: what is wrong, which file, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

BAD_INPUT = 2
"""Exit code of every command that got bad input."""


class KitError(Exception):
    """Bad input, with what the user needs to correct it.

    Args:
        problem: what is wrong, one sentence.
        where: the file, folder or option it was found in.
        fix: what to do about it, one sentence.
    """

    def __init__(self, problem: str, *, where: str | Path | None = None, fix: str | None = None) -> None:
        self.problem = problem
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(problem)

    def __reduce__(self) -> tuple[Callable[..., KitError], tuple[type[KitError], str], dict[str, Any]]:
        """Let the error cross a process border, for example out of a data loader."""
        # By default pickle calls the class with self.args on the other side: `where` and `fix` would be lost.
        return _blank, (type(self), self.problem), vars(self)

    def __str__(self) -> str:
        lines = [self.problem]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.fix is not None:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class NotFiniteError(KitError):
    """Numbers of a network are infinite or none: its weights, its training or its precision are at fault."""


def _blank(kind: type[KitError], problem: str) -> KitError:
    return kind.__new__(kind, problem)


def did_you_mean(word: str, known: Iterable[str], *, most: int = 3) -> str:
    """Return "did you mean 'train'? " for the start of a fix; empty if no known word is like this one.

    Args:
        word: as the user wrote it.
        known: the words there are.
        most: how many to offer.
    """
    near = difflib.get_close_matches(word, list(known), most, cutoff=0.7)
    return f"did you mean {' or '.join(map(repr, near))}? " if near else ""
