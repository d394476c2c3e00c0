"""How long everything takes in a simulated world, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.budget.truth import Floats
from kit.plan.tasks import Stage

TRIES = 3
"""Draws for each pass over each image: one for each try, then from the first again."""


@dataclass(frozen=True)
class Drift:
    """A factor on all times that changes during the run.

    Attributes:
        times: seconds since the start, ascending.
        factors: at these times.
        steps: it jumps; else it changes slowly from one to the next.
    """

    times: tuple[float, ...]
    factors: tuple[float, ...]
    steps: bool

    def at(self, seconds: float) -> float:
        """Return the factor at a moment."""
        if len(self.times) == 1:
            return self.factors[0]
        if self.steps:
            return self.factors[max(0, int(np.searchsorted(self.times, seconds, side="right")) - 1)]
        return float(np.interp(seconds, self.times, self.factors))


@dataclass(frozen=True)
class Device:
    """One worker's.

    Attributes:
        slowness: factor on its times.
        lost: second at which its worker dies, None for never.
        back: seconds until the worker is there again; None: it stays away.
    """

    slowness: float = 1.0
    lost: float | None = None
    back: float | None = None


@dataclass(frozen=True)
class SetUp:
    """What comes before the first task.

    Attributes:
        installed: second at which tasks may start.
        ready: second at which each member's weights are in place.
        absent: members whose weights are damaged; that is found at their second.
    """

    installed: float
    ready: tuple[float, ...]
    absent: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Ending:
    """What the end of a run takes, in seconds.

    Attributes:
        kill: to end the workers.
        delete: to delete results.
        validate: to check a complete file.
        write: to compose and write it.
    """

    kill: float
    delete: float
    validate: float
    write: float


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    Attributes:
        stages: of each try of each pass over each image, "" for none.
        damaged: images that no pass can read.
        unloadable: members that cannot be loaded.
        wrong: members whose outputs are no numbers.
        greedy: members that need a batch of one.
    """

    stages: NDArray[np.str_] | None = None
    damaged: frozenset[int] = frozenset()
    unloadable: frozenset[int] = frozenset()
    wrong: frozenset[int] = frozenset()
    greedy: frozenset[int] = frozenset()

    def of(self, member: int, index: int, image: int, attempt: int) -> Stage | None:
        """Return what fails when a pass is tried over an image, None if nothing does."""
        if image in self.damaged:
            return "image"
        if member in self.unloadable:
            return "load"
        if member in self.wrong:
            return "forward"
        if member in self.greedy and attempt == 0:
            return "memory"
        if self.stages is None:
            return None
        found: Stage | str = str(self.stages[attempt % TRIES, index, image])
        return found or None  # type: ignore[return-value]  # drawn from the stages


@dataclass(frozen=True)
class Machine:
    """The times of a world. Those of passes are of a worker with slowness 1 and without drift.

    Attributes:
        seconds: of each try of each pass over each image, with noise and stalls.
        loads: seconds until a worker has another member.
        fuse: seconds of a row, for each pass that it is fused from.
        alone: factor on tries after the first, which have a batch of one.
        restart: seconds until a worker that died is there again.
        silence: seconds until a worker that hangs is replaced.
        drift: of everything.
        devices: one per worker.
        set_up: before the first task.
        ending: after the last.
        faults: what goes wrong.
    """

    seconds: Floats
    loads: Floats
    fuse: Floats
    alone: float
    restart: float
    silence: float
    drift: Drift
    devices: tuple[Device, ...]
    set_up: SetUp
    ending: Ending
    faults: Faults

    def pass_seconds(self, index: int, image: int, attempt: int) -> float:
        """Return the seconds of a try of a pass over an image, without loading."""
        return float(self.seconds[attempt % TRIES, index, image]) * (self.alone if attempt else 1.0)

    def capacity(self, until: float) -> float:
        """Return the seconds of work of a worker with slowness 1 that all workers do until a moment."""
        total = 0.0
        for device in self.devices:
            spans = [(self.set_up.installed, until if device.lost is None else min(until, device.lost))]
            if device.lost is not None and device.back is not None:
                spans.append((max(self.set_up.installed, device.lost + device.back), until))
            total += sum(self._work(*span) for span in spans if span[0] < span[1]) / device.slowness
        return total

    def _work(self, begin: float, end: float) -> float:
        points = np.linspace(begin, end, 65)
        middles = (points[1:] + points[:-1]) / 2
        return float(np.mean([1.0 / self.drift.at(point) for point in middles])) * (end - begin)

    def facts(self) -> Mapping[str, str]:
        """Return what distinguishes the machine, in words."""
        faults, set_up = self.faults, self.set_up
        failing = 0 if faults.stages is None else int((faults.stages[0] != "").sum())
        drift = ", ".join(
            f"{f:.2f} at {t:.0f} s" for t, f in zip(self.drift.times, self.drift.factors, strict=True)
        )
        return {
            "workers": "; ".join(
                f"x {device.slowness:.2f}"
                + ("" if device.lost is None else f", lost at {device.lost:.0f} s")
                + ("" if device.back is None else f", back after {device.back:.0f} s")
                for device in self.devices
            ),
            "drift": f"{'steps' if self.drift.steps else 'slow'}: {drift}",
            "set-up": f"tasks from {set_up.installed:.0f} s on, members ready at "
            + ", ".join(f"{second:.0f}" for second in set_up.ready),
            "loading": ", ".join(f"{second:.1f}" for second in self.loads) + " s",
            "tasks that fail at first": f"{failing}",
            "images damaged": f"{sorted(faults.damaged)}",
            "members that cannot be loaded": f"{sorted(faults.unloadable | set_up.absent)}",
            "members with wrong outputs, too large": f"{sorted(faults.wrong)}, {sorted(faults.greedy)}",
        }
