"""How a program of the kit ends: its exit code, and what it says of an error, of Ctrl-C and of a closed pipe.

docs/command-line.md has the codes for readers. Needs none of our dependencies.
"""

from __future__ import annotations

import errno
import os
import select
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from kit.errors import BAD_INPUT, KitError
from kit.local import garbage

DONE = 0
"""Exit code of a command that did what it was asked for."""
NOT_ALL = 1
"""It did not do all of it: a job of `train-all` failed, or who reads the output went away (`| head`)."""
INTERRUPTED = 130
"""Ended by Ctrl-C: 128 and the number of SIGINT, as shells count."""
TYPED = "KIT_TYPED"
"""Variable with the command line that the user typed, where it was not the program's own but nox's."""
_REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    | {errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR}
)
"""Errors of the system that are of a file's place, its rights or its disk, not of a program."""
_OURS = frozenset({"kit", "train_local", "bundle", "submission", "benchmarks", "documents"})


class Interruption(KeyboardInterrupt):
    """Ctrl-C in a verb, with what the user needs to go on.

    Args:
        kept: what is on the disk, in a few words.
        command: the command line that goes on.
    """

    def __init__(self, kept: str, command: str) -> None:
        super().__init__()
        self.kept = kept
        self.command = command


def run_cli(command: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command line; a `KitError` becomes its message on stderr and exit code 2.

    So do a file or folder that the system refuses (no rights, read-only, a link to itself) and a Python
    without the kit's dependencies. Ctrl-C becomes one line and exit code 130.

    Args:
        command: takes the arguments without the program's name, returns the exit code.
        argv: the arguments; those of this process when None.
    """
    _open_what_is_closed()
    code, ours = None, argv is None  # else it is not the end of this process
    if ours:
        garbage.look_seldom()
    try:
        try:
            return (code := _run(command, sys.argv[1:] if argv is None else argv))
        finally:
            # Python would do it after this function, and print a traceback where the pipe is closed.
            sys.stdout.flush()
            if ours:
                garbage.look_no_more()
    except BrokenPipeError:
        if not _reader_is_gone():  # then it was another pipe, and a fault
            raise
        _end_stdout()
        return NOT_ALL
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        _end_stdout()
        if code:  # it is told
            return code
        fix = "free space on the disk that stdout goes to, or send it elsewhere"
        return _wrong(KitError(f"stdout cannot be written: {error.strerror}", fix=fix))


def _open_what_is_closed() -> None:
    """Give a process that was started without stdin, stdout or stderr (`>&-`) one that goes nowhere."""
    # Else the next file that is opened gets the number of stdout, and a helper process prints into it.
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest number that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            stream = open(number, mode, closefd=False)  # noqa: SIM115 - until the process ends
            setattr(sys, name, stream)


def _end_stdout() -> None:
    """Let what is still to be written go nowhere: else Python tries it again when it ends."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - only its number is needed
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _run(command: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    try:
        return command(argv)
    except KitError as error:
        return _wrong(error)
    except OSError as error:
        # A place that is looked at before its use has advice of its own; this is for all others, such as a
        # folder that became read-only while the command ran.
        if error.errno not in _REFUSED:
            raise
        fix = "check its path, its rights and its disk, or name another place"
        return _wrong(KitError(str(error.strerror), where=error.filename, fix=fix))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OURS:
            raise
        return _wrong(
            KitError(
                f"this Python has no {error.name}",
                where=sys.executable,
                fix=f"run it with nox's Python: .nox/kit-{sys.implementation.cache_tag}/bin/python",
            )
        )
    except KeyboardInterrupt as stop:
        # Threads and helper processes may still have to end. Another Ctrl-C then ends this process at once,
        # as the system does it, and not with Python's traceback of a thread that was waited for.
        with suppress(ValueError):  # in another thread than the first: a test
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Helpers that an interrupted block has not ended. A program that never used them has not the module.
        if helpers := sys.modules.get("multiprocessing"):
            for process in helpers.active_children():
                process.terminate()
        told = "run the same command again to go on"
        if isinstance(stop, Interruption):
            told = f"{stop.kept}; to go on: {stop.command}"
        print(f"stopped; {told}", file=sys.stderr)
        return INTERRUPTED


def said(in_nox: str, alone: str) -> str:
    """Return the words for who typed a session of nox, or for who typed the command itself.

    A session fills in folders (`--prepared`, `--out`) that its user never types.
    """
    return in_nox if os.environ.get(TYPED) else alone


def _wrong(error: KitError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return BAD_INPUT


def command_line(prog: str, argv: Sequence[str]) -> str:
    """Return the command line that starts a program again, as the user would type it.

    Args:
        prog: "python -m train_local".
        argv: its arguments, such as ["train", "unet-regnety16", "--tiny"].
    """
    if typed := os.environ.get(TYPED):
        return typed
    # orig_argv is what the system started, such as [".nox/kit-cpython-311/bin/python", "-m", "train_local",
    # "train", ...]: it has the Python that was typed. A test calls the program's function with other words.
    started = sys.orig_argv
    same = len(started) > len(argv) and started[len(started) - len(argv) :] == list(argv)
    return shlex.join(started) if same else f"{prog} {shlex.join(argv)}"


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors are told unasked
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):  # stdout is none of the system's files
        return False
