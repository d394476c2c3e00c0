"""Reads the files of a worker's likely next task into the system's cache, while its network computes.

A later read of them then waits for no mount. Nothing else depends on it: a wrong guess costs some reading.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from kit.artefacts import open_to_read, read_at
from kit.streams import PIECE, STREAMS
from submission.runtime.work.device import available_memory

_PART = 0.125
"""Of the memory that is free: what may be read ahead at a time."""
_UNKNOWN = 256 << 20
"""Bytes that may be read ahead where nobody knows how much memory is free."""

_Piece = tuple[io.BufferedReader, int, int]
"""An open file, offset and bytes."""


class ReadAhead:
    """Reads files in threads of its own, as many as a mount needs."""

    def __init__(self) -> None:
        self._pieces: Iterator[_Piece] = iter(())
        self._lock = threading.Lock()

    def begin(self, files: Sequence[Path]) -> None:
        """Read files ahead, and leave those that were asked for before.

        Args:
            files: the most urgent one first; a folder stands for its files. What cannot be read is left out.
        """
        free = available_memory()
        pieces = _pieces(files, _UNKNOWN if free is None else int(_PART * free))
        with self._lock:
            self._pieces = pieces
        for _ in range(STREAMS):
            threading.Thread(target=self._read, args=(pieces,), name="ahead", daemon=True).start()

    def _read(self, pieces: Iterator[_Piece]) -> None:
        while True:
            with self._lock:
                piece = next(pieces, None) if pieces is self._pieces else None
            if piece is None:
                return
            stream, offset, count = piece
            with contextlib.suppress(OSError):
                if not _is_cached(stream.fileno(), offset):
                    read_at(stream.fileno(), count, offset)


def _pieces(files: Sequence[Path], room: int) -> Iterator[_Piece]:
    """Yield the pieces of files, up to a number of bytes."""
    for file in files:
        with contextlib.suppress(OSError):
            for path in sorted(file.iterdir()) if file.is_dir() else [file]:
                stream = open_to_read(path)
                size = min(os.fstat(stream.fileno()).st_size, room)
                room -= size
                yield from ((stream, offset, min(PIECE, size - offset)) for offset in range(0, size, PIECE))


def _is_cached(handle: int, offset: int) -> bool:
    """Whether a place of a file can be read without waiting; where the system cannot tell, it is not."""
    try:
        return os.preadv(handle, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except (OSError, AttributeError):
        return False
