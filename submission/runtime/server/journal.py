"""The small file with which a server that was restarted in mid-run goes on where it was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit.artefacts import read_json, sha256_json, write_json
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.plan.costs import Costs
from submission.runtime.server.shares import Progress

NAME = "server.json"
_OBSERVATIONS = 200
_CALLS = 5
_PAUSE = 5.0
"""Seconds between two times that the file is written."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class MeasuredCosts(Costs):
    """Costs of a run of many calls, whose workers keep members loaded from one call to the next.

    Args:
        ensemble: of the run.

    Attributes:
        observations: the last ones, to be told to the process after a restart.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__(ensemble)
        self.observations: deque[tuple[int, float, float, float]] = deque(maxlen=_OBSERVATIONS)
        self._loads_of_calls: dict[int, deque[float]] = {}
        self._seen: set[int] = set()

    def begin_call(self) -> None:
        """Note that a call begins: it may have to load each member, or find it loaded."""
        self._seen.clear()

    def observe(self, index: int, megapixels: float, seconds: float, load: float = 0.0) -> None:
        """Add one finished task of a pass, and keep it."""
        self.observations.append((index, megapixels, seconds, load))
        super().observe(index, megapixels, seconds, load)
        member = self.ensemble.passes[index].member
        if member not in self._seen:
            self._seen.add(member)
            self._loads_of_calls.setdefault(member, deque(maxlen=_CALLS)).append(load)

    def load(self, member: int) -> float:
        """Return the seconds of loading a member, as a mean of the last calls: 0 where it stays loaded."""
        recent = self._loads_of_calls.get(member)
        return sum(recent) / len(recent) if recent else super().load(member)


class Journal:
    """When the run began, what came so far, and what passes cost here.

    Args:
        folder: for the file.
        ensemble: of the run; a file of another one is not read.
        start: monotonic time at which this process began.
        go_on: whether a file that is there may be of this run; if not, it is deleted.

    Attributes:
        start: monotonic time at which the run began, perhaps in an earlier process.
        progress: of the run.
        costs: as measured.
        restarted: an earlier process has answered calls of this run.
    """

    def __init__(self, folder: Path, ensemble: Ensemble, start: float, *, go_on: bool) -> None:
        self.path = folder / NAME
        self.start = start
        self.progress = Progress()
        self.costs = MeasuredCosts(ensemble)
        self.restarted = False
        self._sha256 = sha256_json(ensemble.as_dict())
        self._written, self._calls = 0.0, 0
        if not go_on:
            self.remove()
            return
        # What is no journal of ours tells nothing; the run begins anew then.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, KitError):
            self._read(read_json(self.path))

    def _read(self, value: Mapping[str, Any]) -> None:
        if value["ensemble"] != self._sha256:
            return
        progress = Progress(**value["progress"])
        observations = [tuple(map(float, row)) for row in value["observations"]]
        same_clock = value["boot"] == _boot()
        began = float(value["start"]) if same_clock else self.start - float(value["elapsed"])
        for index, megapixels, seconds, load in observations:
            self.costs.observe(int(index), megapixels, seconds, load)
        self.start, self.progress = min(began, self.start), progress
        self.restarted = progress.calls > 0

    def write(self) -> None:
        """Write the file if calls came since it was written, but not again within some seconds."""
        now = time.monotonic()
        if self.progress.calls == self._calls or (self._written and now - self._written < _PAUSE):
            return
        self._written, self._calls = now, self.progress.calls
        value = {
            "ensemble": self._sha256,
            "boot": _boot(),
            "start": self.start,
            "elapsed": now - self.start,
            "progress": asdict(self.progress),
            "observations": list(self.costs.observations),
        }
        with suppress(OSError, KitError):  # a full disk costs no more than the file
            write_json(self.path, value)

    def remove(self) -> None:
        """Delete the file: the next run in this folder is another one."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _boot() -> str:
    """Return what tells one start of the machine, and with it its monotonic clock, from another."""
    try:
        return _BOOT.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
