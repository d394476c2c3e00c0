"""The wires of one command: each is a process with the official client, which takes seconds to start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

from kit.local.kaggle.patience import Patience
from kit.local.kaggle.wire import Wire


class Wires:
    """Wires to Kaggle, opened when they are needed and kept for the next dataset.

    Args:
        scratch: folder for the clients' own files.
        patience: limits.
        on_line: gets what the clients print, and why something is repeated.
    """

    def __init__(self, scratch: Path, patience: Patience, on_line: Callable[[str], None]) -> None:
        self._scratch, self._patience, self._on_line = scratch, patience, on_line
        self._opened: list[Wire] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for wire in self._opened:
            wire.close()

    @property
    def first(self) -> Wire:
        """The wire for calls, one after the other."""
        return self.take(1)[0]

    def take(self, count: int) -> list[Wire]:
        """Return so many wires, the first one among them; a wire belongs to one thread at a time."""
        while len(self._opened) < count:
            wire = Wire(scratch=self._scratch, patience=self._patience, on_line=self._on_line)
            self._opened.append(wire)
        return self._opened[:count]
