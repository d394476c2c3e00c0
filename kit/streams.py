"""Read a file with many threads, a little ahead of those that use its bytes.

Reading from a mount waits for a network, not for a processor: the number of streams has nothing to do with
the number of cores. These threads only read; those that decode are as many as the processors.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from kit.artefacts import read_at

STREAMS = 16
"""Cold mounts of Kaggle read 120-240 MB/s with one thread, 370-560 with four and 770-950 with 16."""
PIECE = 1 << 20
"""Most bytes of one read."""
_AHEAD = 2 * STREAMS
"""Pieces read ahead: as many as are being read, and as many that wait to be used."""
_BEHIND = 128
"""Most pieces kept after their first use."""
_READERS = 8
"""Last places that were read at: threads that decode large strips are far from each other."""
_GAP = 4096
"""Bytes between two parts that are read along with them rather than skipped."""


class Streams:
    """Reads an open file in the order in which its parts will be needed.

    A part that was not announced, or is needed out of turn, is read all the same, only not ahead.

    Args:
        descriptor: of the file.
    """

    # Three strips of 400 KiB that follow one another become pieces of 1024 and 176 KiB: cut at strips where
    # possible, so that most parts lie within one piece and need not be copied.
    #
    #     strips    |   0   |   1   |   2   |      piece 0: strips 0 and 1, 800 KiB; piece 1: strip 2
    #
    # While piece 40 is used, the pieces 41 to 71 are being read or wait, and the last ones are still held
    # for threads that are a little behind, or for the lower half of a row of tiles.
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pieces: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._behind = 0
        self._held: dict[int, Future[bytes]] = {}
        self._recent: deque[int] = deque(maxlen=_READERS)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def expect(self, parts: Iterable[tuple[int, int, int]]) -> None:
        """Announce all parts that will be needed.

        Args:
            parts: (turn, offset, bytes); a lower turn is needed earlier. Parts of one turn are needed
                together, e.g. the tiles of one row.
        """
        pieces: dict[int, list[int]] = {}
        last: list[int] | None = None
        for turn, offset, count in sorted(parts, key=lambda part: part[0]):
            if last is not None and 0 <= offset - last[1] <= _GAP and offset + count - last[0] <= PIECE:
                last[1] = offset + count
                continue
            for start in range(offset, offset + count, PIECE):
                last = pieces.setdefault(start, [start, min(start + PIECE, offset + count), turn])
        self._pieces = [(start, end) for start, end, _ in pieces.values()]
        together = Counter(turn for _, _, turn in pieces.values())
        self._behind = min(_BEHIND, STREAMS + max(together.values(), default=0))
        self._numbers = sorted(range(len(self._pieces)), key=lambda number: self._pieces[number][0])
        self._starts = [self._pieces[number][0] for number in self._numbers]

    def read(self, offset: int, count: int) -> memoryview:
        """Return bytes of the file; fewer only where it ends.

        Raises:
            OSError: they cannot be read.
        """
        found: list[memoryview] = []
        place, end = offset, offset + count
        while place < end and (piece := self._piece_at(place)) is not None:
            start, data = piece
            found.append(memoryview(data)[place - start : end - start])
            if not found[-1]:
                break
            place += len(found[-1])
        if place < end:
            found.append(memoryview(read_at(self._descriptor, end - place, place)))
        return found[0] if len(found) == 1 else memoryview(b"".join(found))

    def close(self) -> None:
        """End the threads. The file may be closed afterwards."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._held.clear()

    def _piece_at(self, place: int) -> tuple[int, bytes] | None:
        """Return start and bytes of the piece that holds a place, and read the next ones ahead."""
        found = bisect_right(self._starts, place) - 1
        # The threads of a small file would take longer to start than the file takes to read.
        if found < 0 or len(self._pieces) < 3:
            return None
        number = self._numbers[found]
        start, end = self._pieces[number]
        if place >= end:
            return None
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(STREAMS, "stream")
            self._recent.append(number)
            held, ahead = self._held, range(number, min(number + _AHEAD, len(self._pieces)))
            if not held.keys() >= set(ahead):
                wanted = {n for at in self._recent for n in range(at - self._behind, at + _AHEAD)}
                self._held = held = {n: held[n] for n in held.keys() & wanted}
            for other in ahead:
                if other not in held:
                    first, stop = self._pieces[other]
                    held[other] = self._pool.submit(read_at, self._descriptor, stop - first, first)
            piece = held[number]
        return start, piece.result()
