"""The parent's side of the child process: start it, talk to it line by line, kill it with all it started."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_LINES_KEPT = 40


class Silent(Exception):  # noqa: N818 - a state of the child, not an error to show
    """The child said nothing until the deadline."""


class Gone(Exception):  # noqa: N818 - as above
    """The child has ended."""


class Child:
    """One running worker process.

    Args:
        environment: its variables.
        on_text: gets each line that the client prints.
    """

    def __init__(self, environment: Mapping[str, str], on_text: Callable[[str], None]) -> None:
        self._answers, theirs = os.pipe()
        command = [sys.executable, "-P", "-m", "kit.local.kaggle.worker", str(theirs)]
        # A session of its own: Ctrl-C reaches this process alone, which then decides; and a kill reaches all
        # that the child started.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs,),
            env=dict(environment),
            start_new_session=True,
        )
        os.close(theirs)
        self._rest = b""
        self._printed: deque[str] = deque(maxlen=_LINES_KEPT)
        self._on_text = on_text
        self._drain = threading.Thread(target=self._read_output, daemon=True)
        self._drain.start()

    @property
    def printed(self) -> list[str]:
        """The last lines that the client printed."""
        return list(self._printed)

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a request.

        Raises:
            Gone: the child does not read any more.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Gone from error

    def receive(self, until: float) -> dict[str, Any]:
        """Return the child's next message.

        Args:
            until: deadline on the clock of `time.monotonic`.

        Raises:
            Silent: none came in time.
            Gone: the child has ended.
        """
        while b"\n" not in self._rest:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._answers], [], [], left)[0]:
                raise Silent
            block = os.read(self._answers, 1 << 16)
            if not block:
                raise Gone
            self._rest += block
        line, _, self._rest = self._rest.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value

    def end(self) -> None:
        """Kill the child and everything that it started; `receive` then raises `Gone`."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the child and free what it took; safe to call twice."""
        if self._answers < 0:
            return
        self.end()
        self._process.wait()
        self._drain.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        os.close(self._answers)
        self._answers = -1

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            if line:
                self._printed.append(line)
                self._on_text(line)
