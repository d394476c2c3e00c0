"""The thread of a worker that reads its stdin, also while a task goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from kit.errors import KitError
from submission.runtime.work.ahead import ReadAhead
from submission.runtime.work.messages import Prepare, Request, read_request


def listen(requests: SimpleQueue[Request | KitError | None]) -> None:
    """Queue the requests that arrive until stdin ends; read ahead at once, beside the task.

    Args:
        requests: gets an error for a line that is no request, and None at the end.
    """
    ahead = ReadAhead()
    try:
        for line in _lines():
            match read_request(line):
                case Prepare(files=files):
                    ahead.begin([Path(file) for file in files])
                case request:
                    requests.put(request)
    except KitError as error:
        requests.put(error)
    else:
        requests.put(None)


def _lines() -> Iterator[bytes]:
    """Yield the lines of stdin. A thread that waits in `sys.stdin` would keep the process from ending."""
    rest = b""
    while data := os.read(0, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
