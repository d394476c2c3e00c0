"""Holds the rendered predict.py at a certain place, so that a test need not be quicker than it."""

import os
import time
from pathlib import Path

# Python runs this at the start of every process. The first process that comes to the place writes its number
# into a file, then it waits, or stops as by SIGSTOP.
_HOOK = """
import fnmatch, os, signal, sys, time

def hold():
    try:
        os.mkdir(FOLDER + "/taken")
    except FileExistsError:
        return
    with open(FOLDER + "/taken/number", "w") as file:
        file.write(str(os.getpid()))
    os.rename(FOLDER + "/taken/number", FOLDER + "/held")
    if STOPS:
        os.kill(os.getpid(), signal.SIGSTOP)
    while not STOPS and not os.path.exists(FOLDER + "/go"):
        time.sleep(0.01)

real_open, real_mask, real_replace = os.open, signal.pthread_sigmask, os.replace

def opening(path, *more, **named):
    if not isinstance(path, int) and os.path.basename(os.fsdecode(path)) == PLACE:
        hold()
    return real_open(path, *more, **named)

def replacing(source, target, **named):
    if fnmatch.fnmatch(os.fsdecode(target), PLACE):
        hold()
    return real_replace(source, target, **named)

def masking(how, signals):
    masked = real_mask(how, signals)
    if how == signal.SIG_BLOCK:
        hold()
    return masked

if "--worker" in sys.orig_argv:
    os.open, os.replace = opening, replacing
    if PLACE == START:
        hold()
elif PLACE == SIGNALS and "--input" in sys.orig_argv:
    signal.pthread_sigmask = masking
"""
SIGNALS = "where signals are held back"
"""The place at which predict.py's own process has begun to hold back signals; no fallback is there yet."""
START = "where a worker starts"
"""The place at which a worker has just been started, and is not ready for tasks."""


class Hold:
    """One place at which the first process that comes there is held.

    Args:
        folder: to be made, for the hook and its files.
        place: name of an image that a worker opens, pattern of a file that it has written, `START` or
            `SIGNALS`.
        stops: the process stops as by SIGSTOP; otherwise it waits until `let_go`.
    """

    def __init__(self, folder: Path, place: str, *, stops: bool = False) -> None:
        folder.mkdir()
        self.folder = folder
        known = {"FOLDER": str(folder), "PLACE": place, "STOPS": stops, "SIGNALS": SIGNALS, "START": START}
        lines = [f"{name} = {value!r}\n" for name, value in known.items()]
        (folder / "sitecustomize.py").write_text("".join(lines) + _HOOK)

    @property
    def environment(self) -> dict[str, str]:
        """Of the process to hold."""
        return {**os.environ, "PYTHONPATH": str(self.folder)}

    @property
    def reached(self) -> bool:
        """Whether a process has come to the place."""
        return (self.folder / "held").exists()

    def wait(self, process) -> int:
        """Wait until a process is held, and return its number.

        Args:
            process: handle of predict.py, which must not end before.
        """
        while not self.reached:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.01)
        return int((self.folder / "held").read_text())

    def let_go(self) -> None:
        """Let the process go on."""
        (self.folder / "go").touch()
