"""Errors that a tired person understands at 2 a.m.: what is wrong, which file, what to do."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BAD_INPUT = 2
"""Exit code of every command that got bad input."""
_REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    | {errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR}
)
"""Errors of the system that are of a file's place, its rights or its disk, not of a program."""
_OURS = frozenset({"kit", "train_local", "bundle", "submission", "benchmarks", "documents"})


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


def run_cli(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command line; a `KitError` becomes its message on stderr and exit code 2.

    So do a file or folder that the system refuses (no rights, read-only, a link to itself) and a Python
    without the kit's dependencies.

    Args:
        command: takes the arguments without the program's name, returns the exit code.
        argv: the arguments; those of this process when None.
    """
    try:
        return command(sys.argv[1:] if argv is None else argv)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        # A place that is looked at before its use has advice of its own; this is for all others, such as a
        # folder that became read-only while the command ran.
        if error.errno not in _REFUSED:
            raise
        fix = "check its path, its rights and its disk, or name another place"
        print(f"error: {KitError(str(error.strerror), where=error.filename, fix=fix)}", file=sys.stderr)
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OURS:
            raise
        lacking = KitError(
            f"this Python has no {error.name}",
            where=sys.executable,
            fix=f"run it with nox's Python: .nox/kit-{sys.implementation.cache_tag}/bin/python",
        )
        print(f"error: {lacking}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
