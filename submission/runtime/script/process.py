"""The process of predict.py: output that neither fails nor waits, signals that ask for the end, and the end.

Whatever stdout is (closed, a full disk, a pipe whose reader left or sleeps), the run goes on.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU)
_LAST_LINES = 2.0
"""Seconds in which a slow reader of the output may take the last lines."""
_OPEN_FILES = 4096
_THREADS = 16
_MORE_THREADS_AFTER = 2.0
CRASHED = 1
"""Exit code after a fault of this program that left nothing but the fallback."""


class Stop:
    """Whether a signal asked for the end of the run."""

    requested = False

    @contextlib.contextmanager
    def at_signals(self) -> Iterator[None]:
        """Let signals set `requested` instead of ending the process; restore the handlers afterwards."""

        def note(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.requested = True

        before = {}
        # A signal that is ignored stays so: nohup ignores SIGHUP, a shell SIGINT of background processes.
        with contextlib.suppress(ValueError):  # a notebook may run a cell in another thread
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, note)
        let_signals_in()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def let_signals_in() -> None:
    """Let signals arrive that predict.py's last lines hold back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


STOP = Stop()
"""Of this process."""


class _Writer:
    """Writes to files by their numbers, in a thread for which nobody has to wait."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[int, bytes | threading.Event]] = SimpleQueue()
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def put(self, handle: int, data: bytes) -> None:
        """Write some bytes later."""
        self._waiting.put((handle, data))

    def drain(self, seconds: float) -> None:
        """Wait until all is written, but not longer than this."""
        empty = threading.Event()
        self._waiting.put((0, empty))
        empty.wait(max(seconds, 0.0))

    def _run(self) -> None:
        while True:
            handle, data = self._waiting.get()
            if isinstance(data, threading.Event):
                data.set()
                continue
            while data:
                try:
                    data = data[os.write(handle, data) :]
                except BlockingIOError:
                    time.sleep(0.02)
                except OSError:  # no reader, no space: this text is lost, a later one may be written
                    break


class Output(io.TextIOBase):
    """A stream whose text a thread writes, with escapes for what the encoding lacks; `write` never fails."""

    def __init__(self, writer: _Writer, handle: int, coding: str) -> None:
        self._writer, self._handle, self._coding = writer, handle, coding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """Name of the encoding."""
        return self._coding

    def fileno(self) -> int:
        """Return the number of the file."""
        return self._handle

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Hand over some text."""
        self._writer.put(self._handle, text.encode(self._coding, "backslashreplace"))
        return len(text)

    def drain(self, seconds: float) -> None:
        """Wait until all is written, but not longer than this."""
        self._writer.drain(seconds)


def run_process(program: Callable[[], int], file: str | None, mark: str) -> None:
    """Run the program in a process that is ours alone, and end the process with its exit code.

    Args:
        program: returns the exit code.
        file: the script's own path, None when it was piped or pasted.
        mark: a text that the script's file holds.
    """
    _read_names_as_utf8(file, mark)
    _put_in_order()
    code = CRASHED
    with STOP.at_signals():
        try:
            code = program()
        except SystemExit as error:  # of the command line's parser
            code = error.code if isinstance(error.code, int) else CRASHED if error.code else 0
        except BaseException:  # noqa: BLE001 - the end is the same for all
            traceback.print_exc()
        end(code)


def end(code: int, seconds: float = _LAST_LINES) -> None:
    """End the process now, without waiting for threads, locks or a reader of the output.

    Args:
        code: exit code.
        seconds: in which the last lines are written.
    """
    if isinstance(sys.stdout, Output):
        sys.stdout.drain(seconds)
    os._exit(code)


def end_at(moment: float, last: Callable[[], int]) -> None:
    """End the process at a monotonic time, whatever it waits for then.

    Args:
        moment: the time.
        last: is called before the end, and returns the exit code.
    """

    def wait() -> None:
        time.sleep(max(moment - time.monotonic(), 0.0))
        code = CRASHED
        with contextlib.suppress(Exception):
            code = last()
        end(code, 0.1)

    threading.Thread(target=wait, name="end", daemon=True).start()


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what some work returns; it runs in a thread, which is left behind when it takes too long.

    Raises:
        TimeoutError: it takes longer than this.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(max(seconds, 0.0))


def ask_all(items: Iterable[K], ask: Callable[[K], T], silence: float, limit: float | None) -> dict[K, T]:
    """Return the answers for some items, asked in threads that are left behind when they hang.

    Args:
        items: what to ask.
        ask: returns the answer for an item; must not raise.
        silence: seconds without any answer after which no more is expected.
        limit: seconds for all items, None: no limit.
    """
    waiting: SimpleQueue[K] = SimpleQueue()
    heard: SimpleQueue[tuple[K, T]] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        with contextlib.suppress(Empty):
            while True:
                item = waiting.get_nowait()
                heard.put((item, ask(item)))

    answers: dict[K, T] = {}
    wanted = waiting.qsize()
    until = time.monotonic() + (limit or math.inf)
    last = time.monotonic()
    threads = 0
    while len(answers) < wanted and (now := time.monotonic()) < min(until, last + silence):
        # All threads may hang in items of which the next ones know nothing: after 2 s, others go on.
        if not threads or now - last > _MORE_THREADS_AFTER:
            for _ in range(min(_THREADS, waiting.qsize())):
                threading.Thread(target=work, daemon=True).start()
                threads += 1
        with contextlib.suppress(Empty):
            item, answer = heard.get(timeout=min(_MORE_THREADS_AFTER, until - now, last + silence - now))
            answers[item], last = answer, time.monotonic()
    return answers


def _read_names_as_utf8(file: str | None, mark: str) -> None:
    """Start the script again where Python would read file names as ASCII: an id may have other letters."""
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8" or file is None or not sys.executable:
        return
    with contextlib.suppress(OSError):
        # Not if another script executes this one: that would run twice.
        if mark.encode() in Path(file).read_bytes():
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this program


def _put_in_order() -> None:
    """Give the process files 0 to 2, output that never fails, and enough open files."""
    for handle in range(3):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    coding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with contextlib.suppress(Exception):
        sys.stdout.flush()  # what a start-up hook has printed
    with contextlib.suppress(RuntimeError):  # no thread can be started
        writer = _Writer()
        sys.stdout, sys.stderr = Output(writer, 1, coding), Output(writer, 2, coding)
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (max(soft, most) if soft != resource.RLIM_INFINITY else soft, hard)
        )
    if any(rule[0] == "error" for rule in warnings.filters):
        warnings.simplefilter("ignore")
