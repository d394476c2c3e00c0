"""How far a run is, and where its time went. What only reads `status.json` need not load torch."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kit.artefacts import read_text
from kit.errors import KitError
from kit.typed_json import Checked, from_plain, to_plain

if TYPE_CHECKING:
    from torch import Tensor

STATUS = "status.json"
"""The file of a run's folder that says how far its process is."""
State = Literal["starting", "training", "validating", "predicting", "finished", "out of time", "failed"]


@dataclass
class Progress:
    """How far a run is; every checkpoint stores it.

    Attributes:
        step: optimiser steps taken.
        seconds: of training, summed over all starts.
        best: step, metric, kind and state of the best weights so far; None before the first validation, and
            in a run without held-out images.
        last: metric and kind of the weights of the last validation.
        stale: validations since the best one.
        overflows: steps that the scaler of float16 left out.
        overflows_in_a_row: of these, those without a good step between them.
    """

    step: int = 0
    seconds: float = 0.0
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    stale: int = 0
    overflows: int = 0
    overflows_in_a_row: int = 0

    @property
    def best_metric(self) -> float | None:
        """Metric of the best evaluation so far."""
        return None if self.best is None else self.best["metric"]

    def offer(self, step: int, metric: float, kind: str, state: Mapping[str, Tensor]) -> bool:
        """Keep these weights if they are the best so far; of two equal ones the earlier stays.

        Args:
            step: they are of.
            metric: of their validation.
            kind: "raw" or "average".
            state: by name.
        """
        self.last = {"metric": metric, "kind": kind}
        if self.best is not None and not metric > self.best["metric"]:
            self.stale += 1
            return False
        self.stale = 0
        # Copied to the CPU: the network goes on training, and the GPU's memory is for the batch.
        self.best = {
            "step": step,
            "metric": metric,
            "kind": kind,
            "state": {name: value.detach().cpu().clone() for name, value in state.items()},
        }
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what a checkpoint stored."""
        for item in fields(self):
            setattr(self, item.name, state[item.name])


@dataclass
class Clock:
    """Seconds spent on each kind of work."""

    spent: dict[str, float] = field(default_factory=lambda: {"data": 0.0, "step": 0.0, "evaluation": 0.0})

    @contextmanager
    def count(self, what: str) -> Iterator[None]:
        """Add the time of the block to `what`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent[what] += time.perf_counter() - began

    @property
    def data_share(self) -> float | None:
        """Part of the training time that was spent waiting for data, 0..1; None before the first step."""
        training = self.spent["data"] + self.spent["step"]
        return self.spent["data"] / training if training else None


@dataclass(frozen=True, kw_only=True)
class Status(Checked):
    """How far a training process is, as it said in `status.json`; None where it is not known yet.

    Attributes:
        state: what it was doing.
        step: optimiser steps taken.
        total: optimiser steps of the whole run.
        steps_per_second: of the last steps, without validations.
        eta_seconds: until `total` at the mean speed since this start, validations included.
        metric: of the last validation.
        best_metric: of the best one.
        device: "cpu" or "cuda".
        gpu: which one, as the user names it.
        memory_mb: most memory of the process so far, of the GPU where there is one.
        data_share: part of the training time that was spent waiting for data, 0..1.
        updated: when this was written, seconds since 1970.
    """

    state: State
    step: int
    total: int
    steps_per_second: float | None = None
    eta_seconds: float | None = None
    metric: float | None = None
    best_metric: float | None = None
    device: str = "cpu"
    gpu: str = ""
    memory_mb: float | None = None
    data_share: float | None = None
    updated: float = 0.0


class StatusFile:
    """Writes `status.json` for those who watch: at most every two seconds, and when the state changes.

    Nothing depends on this file. It is replaced atomically but not synced to the disk, and a disk that is
    full or gone does not end the training here.

    Args:
        folder: of the run.
        total: optimiser steps of the whole run.
        step: the run goes on from here.
        device: "cpu" or "cuda".
        gpu: which one.
        memory_mb: measures the memory, when the file is written.
        every: seconds between two writes in one state.
    """

    def __init__(
        self,
        folder: Path,
        *,
        total: int,
        step: int = 0,
        device: str = "cpu",
        gpu: str = "",
        memory_mb: Callable[[], float] | None = None,
        every: float = 2.0,
    ) -> None:
        self._path, self._every, self._memory_mb = folder / STATUS, every, memory_mb
        self._status = Status(state="starting", step=step, total=total, device=device, gpu=gpu)
        self._written = -math.inf
        self._first: tuple[float, int] | None = None
        # Seconds spent training and steps taken, at each of the last updates.
        self._recent: deque[tuple[float, int]] = deque(maxlen=100)
        self._training, self._last = 0.0, time.monotonic()
        self.update()

    def update(
        self,
        *,
        state: State | None = None,
        step: int | None = None,
        metric: float | None = None,
        best_metric: float | None = None,
        data_share: float | None = None,
    ) -> None:
        """Say what is new; None leaves a value as it is. Cheap enough to be called after every step.

        Args:
            state: what the process does from now on.
            step: optimiser steps taken.
            metric: of a validation.
            best_metric: of the best one so far.
            data_share: part of the training time spent waiting for data.
        """
        now, before = time.monotonic(), self._status
        if before.state == "training":
            self._training += now - self._last
        self._last = now
        given: dict[str, Any] = {"state": state, "step": step, "data_share": data_share}
        # A metric that is no number is shown as none: JSON knows no NaN.
        given |= {
            name: value
            for name, value in (("metric", metric), ("best_metric", best_metric))
            if value is not None and math.isfinite(value)
        }
        self._status = replace(before, **{key: value for key, value in given.items() if value is not None})
        if step is not None and before.state == "training":
            # The first step of a start allocates memory and chooses kernels: time counts from its end.
            self._first = self._first or (now, step)
            self._recent.append((self._training, step))
        if self._status.state != before.state or now - self._written >= self._every:
            self._write(now)

    def _write(self, now: float) -> None:
        self._written = now
        status = replace(
            self._status,
            steps_per_second=self.speed,
            eta_seconds=self._eta(now),
            memory_mb=None if self._memory_mb is None else self._memory_mb(),
            updated=time.time(),
        )
        temporary = self._path.with_name(f".{STATUS}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(to_plain(status)), encoding="utf-8")
            temporary.replace(self._path)

    @property
    def speed(self) -> float | None:
        """Steps per second of the last steps, without validations; None before there are two."""
        if len(self._recent) < 2:
            return None
        (began, first), (ended, last) = self._recent[0], self._recent[-1]
        return (last - first) / (ended - began) if ended > began else None

    def _eta(self, now: float) -> float | None:
        # Step 101 ended 10 s ago, now is step 121 of 1121: 2 steps/s, 1000 are left, 500 s.
        if self._first is None or self._status.step <= self._first[1]:
            return None
        began, first = self._first
        left = max(self._status.total - self._status.step, 0)
        return left * (now - began) / (self._status.step - first)


def read_status(folder: Path) -> Status | None:
    """Return what the process of a run said last; None if it said nothing that can be read.

    Args:
        folder: of the run.
    """
    try:
        found = json.loads(read_text(folder / STATUS))
        # A later version may say more.
        known = {item.name for item in fields(Status)}
        return from_plain(Status, {key: value for key, value in found.items() if key in known})
    except (OSError, ValueError, AttributeError, RecursionError, KitError):
        return None
