"""What people see of a training process: its log, TensorBoard, a bar or lines, and `status.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kit.local.console import console, progress
from train_local.engine.fabric import gpu_name, peak_memory_mb
from train_local.monitor.logs import Log
from train_local.monitor.progress import Clock, Progress, State, StatusFile
from train_local.runs import Run

LOG_EVERY = 10
"""Steps between log lines; evaluations and the last step are always logged."""


class Reporter:
    """Tells people how far a run is.

    Args:
        run: that trains.
        progress: of the run.
        clock: of this process.
        device: of this process.
        total: steps of the whole run.
        bars: draw a bar; else print a line at each evaluation.
        silent: say and write nothing, because another process of the run does.
    """

    def __init__(
        self,
        run: Run,
        progress: Progress,
        clock: Clock,
        device: torch.device,
        *,
        total: int,
        bars: bool,
        silent: bool,
    ) -> None:
        self._run, self._progress, self._clock, self._device = run, progress, clock, device
        self._bars, self._silent, self._total = bars, silent, total
        self._log: Log | None = None
        self._status: StatusFile | None = None
        self.set_total(total)

    def set_total(self, total: int) -> None:
        """Say how many steps the run has."""
        self._total = total
        if not self._silent:
            self._status = StatusFile(
                self._run.folder,
                total=total,
                step=self._progress.step,
                device=self._device.type,
                gpu=gpu_name(self._device),
                memory_mb=partial(peak_memory_mb, self._device),
            )

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the log open and the bar drawn while the block trains."""
        if self._silent:
            yield
            return
        with (
            Log(self._run.folder, step=self._progress.step, config=self._run.config()) as self._log,
            progress(shown=self._bars) as display,
        ):
            bar = display.add_task(self._run.name, total=self._total, completed=self._progress.step, note="")
            self._move = partial(display.update, bar)
            yield

    def say(self, line: str) -> None:
        """Print a line about the run."""
        if not self._silent:
            console().print(f"{self._run.name}: {line}", markup=False)

    def state(self, state: State) -> None:
        """Say what the process does from now on."""
        if self._status is not None:
            self._status.update(state=state, step=self._progress.step)

    def stepped(self, terms: Mapping[str, Tensor], rate: float) -> None:
        """Report a step.

        Args:
            terms: of its loss.
            rate: learning rate.
        """
        if self._log is None or self._status is None:
            return
        step, best = self._progress.step, self._progress.best_metric
        if step % LOG_EVERY == 0 or step in {1, self._total}:
            values = {f"loss/{name}": float(value) for name, value in terms.items()}
            self._log.write(step, **self._seconds(), loss=sum(values.values()), lr=rate, **values)
            self._log.watch(
                step,
                steps_per_second=self._status.speed,
                memory_mb=peak_memory_mb(self._device),
                data_share=self._clock.data_share,
            )
        # What stands behind the bar: "loss 0.2134 best 0.6438".
        note = f"loss {float(sum(terms.values())):.4f}" + ("" if best is None else f" best {best:.4f}")
        self._move(completed=step, note=note)
        self._status.update(step=step, data_share=self._clock.data_share)

    def evaluated(
        self,
        metric: float,
        name: str,
        metrics: Mapping[str, float],
        pictures: Mapping[str, NDArray[np.uint8]],
        *,
        tiles: float | None = None,
    ) -> None:
        """Report a validation.

        Args:
            metric: of the weights that were taken.
            name: of the metric.
            metrics: by kind of weights, if there were several.
            pictures: of held-out images, by name.
            tiles: Dice of the held-out objects' tiles, if the recipe was published with it.
        """
        if self._log is None or self._status is None:
            return
        self._status.update(state="training", metric=metric, best_metric=self._progress.best_metric)
        if not self._bars:
            self.say(f"step {self._progress.step} of {self._total}, {name} {metric:.4f}")
        more = {f"metric/{kind}": value for kind, value in metrics.items()} if len(metrics) > 1 else {}
        more |= {} if tiles is None else {"metric/object tiles": tiles}
        self._log.write(self._progress.step, **self._seconds(), metric=metric, metric_name=name, **more)
        self._log.show(self._progress.step, pictures)

    def sync(self) -> None:
        """Write the log through to disk; a checkpoint must not be ahead of it."""
        if self._log is not None:
            self._log.sync()

    def _seconds(self) -> dict[str, float]:
        return {"seconds": round(self._progress.seconds, 3)}
