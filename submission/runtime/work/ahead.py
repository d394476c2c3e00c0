"""Reads the files of a worker's likely next task into the system's cache, while its network computes.

A later read of them then waits for no mount. Nothing else depends on it: a wrong guess costs some reading.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from kit.artefacts import open_to_read
from kit.streams import PIECE, Streams
from submission.runtime.work.device import GIB, available_memory

_PART = 0.125
"""Of the memory that is free: what may be read ahead at a time."""


class ReadAhead:
    """Reads files in threads of its own."""

    def __init__(self) -> None:
        self._wanted: Sequence[str] = ()

    def begin(self, files: Sequence[str]) -> None:
        """Read files ahead, and leave those that were asked for before.

        Args:
            files: the most urgent one first; a folder stands for its files. What cannot be read is left out.
        """
        self._wanted = files
        threading.Thread(target=self._read, args=(files,), daemon=True, name="ahead").start()

    def _read(self, files: Sequence[str]) -> None:
        # 16 GiB free: weights of 1 GiB are read, and of a slide of 3 GiB the first one.
        room = int(_PART * (available_memory() or GIB))
        for name in files:
            path = Path(name)
            with contextlib.suppress(OSError):
                for file in path.iterdir() if path.is_dir() else [path]:
                    room -= self._read_file(file, files, room)

    def _read_file(self, file: Path, files: Sequence[str], room: int) -> int:
        """Read a file as long as `files` are wanted; return the bytes for which there was room."""
        with open_to_read(file) as stream:
            size = min(os.fstat(stream.fileno()).st_size, room)
            with contextlib.closing(Streams(stream.fileno())) as streams:
                streams.expect([(0, 0, size)])
                for offset in range(0, size, PIECE):
                    if self._wanted is files:
                        streams.read(offset, min(PIECE, size - offset))
        return size
