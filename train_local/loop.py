"""The training loop. Lightning Fabric handles device and precision; the rest is written out here.

The result of a run depends on its config and data only. Examples depend on (seed, step, item), and everything
else that changes is in the checkpoint. So a run that is killed at any point and started again ends with the
same weights (on one machine; on CUDA only as far as its kernels are deterministic).
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import torch
from torch import Tensor

from kit.errors import KitError
from kit.local.console import console, progress
from kit.memory import keep_freed_memory
from kit.models import Network
from train_local import checkpoint
from train_local.data.prepared import Prepared
from train_local.data.sampler import Steps, loader
from train_local.ema import MovingAverage
from train_local.evaluate import Validation
from train_local.fabric import gpu_name, make_fabric, peak_memory_mb, seed_all
from train_local.initial_weights import InitialWeights, load_initial_weights
from train_local.logs import Log
from train_local.optimise import make_optimiser, set_learning_rate
from train_local.options import Options
from train_local.progress import Clock, Progress, StatusFile
from train_local.runs import Run
from train_local.training_setup import make_setup

LOG_EVERY = 10
"""Steps between log lines; evaluations and the last step are always logged."""


class Trainer:
    """Trains one run.

    Args:
        run: what to train.
        prepared: on what.
        options: of this process, e.g. device and time limit.
        initial: weights it begins with.
    """

    def __init__(self, run: Run, prepared: Prepared, options: Options, initial: InitialWeights) -> None:
        self.run, self.options, self.recipe = run, options, run.recipe
        self.fabric = make_fabric(options.device, run.recipe.precision)
        if self.fabric.device.type == "cpu":
            torch.set_num_threads(options.threads)
            cv2.setNumThreads(options.threads)
            keep_freed_memory()
        seed_all(run.seed)
        self.setup = make_setup(run, prepared)
        self.epoch_steps = self.recipe.epoch_steps(self.setup.epoch)
        self.eval_steps = self.recipe.validation_steps(self.setup.epoch)
        self.total = self.recipe.total_steps(self.setup.epoch)
        self.network: Network = self.setup.network
        load_initial_weights(self.network, self.recipe, initial)
        optimiser = make_optimiser(self.network, self.recipe.optimiser)
        self.module, self.optimiser = self.fabric.setup(self.network, optimiser)
        self.average = MovingAverage(self.network, self.recipe.ema.decay if self.recipe.ema else 0.0)
        self.validation = Validation(run, prepared)
        self.progress, self.clock = Progress(), Clock()
        self.status = _status_file(run, self.total, self.fabric.device)
        self._began = self._saved = time.monotonic()

    def load(self) -> bool:
        """Go on from the last checkpoint; return False if there is none."""
        state = checkpoint.load(self.run.checkpoints, identity=self.run.identity)
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.progress = Progress(state["step"], state["seconds"], state["best"])
        checkpoint.set_random_state(state["random"])
        return True

    def save(self, log: Log) -> None:
        """Write a checkpoint of the present step."""
        log.sync()
        state = {
            "step": self.progress.step,
            "seconds": self.progress.seconds,
            "best": self.progress.best,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "random": checkpoint.random_state(),
        }
        checkpoint.save(self.run.checkpoints, self.progress.step, state, identity=self.run.identity)
        self._saved = time.monotonic()

    def fit(self) -> bool:
        """Train until the end or until the time is up; `progress.best` holds the result.

        Returns:
            Whether the end was reached.

        Raises:
            KitError: the loss is no longer a number, or the disk is full.
        """
        if self.load():
            place = f"{self.run.name}: going on from step {self.progress.step} of {self.total}"
            console().print(place, markup=False)
        batches = self._batches()
        self.network.train()
        self.status.update(state="training", step=self.progress.step)
        with (
            Log(self.run.folder, step=self.progress.step) as log,
            progress(shown=self.options.bars) as display,
        ):
            bar = display.add_task(self.run.name, total=self.total, completed=self.progress.step, note="")
            while self.progress.step < self.total:
                terms = self._step(batches)
                step = self.progress.step
                if step % LOG_EVERY == 0 or step in {1, self.total}:
                    self._log(log, terms)
                display.update(bar, completed=step, note=_bar_note(terms, self.progress))
                self.status.update(step=step, data_share=self.clock.data_share)
                # The log is synced before each checkpoint (see `save`). A process that goes on from step 300
                # removes the lines after step 300 and writes them again, so no line is missing or doubled.
                if step % self.eval_steps == 0 or step == self.total:
                    self._evaluate(log)
                    self.save(log)
                elif time.monotonic() - self._saved > self.options.checkpoint_seconds:
                    self.save(log)
                if self._out_of_time() and step < self.total:
                    self.save(log)
                    # This evaluation comes after the checkpoint and is not in it: it is only for those who
                    # want the weights now. A run that goes on later must choose its best weights among the
                    # regular evaluations, as an undisturbed run does.
                    if step % self.eval_steps:
                        self._evaluate(log)
                    return False
        return True

    def _batches(self) -> Iterator[Any]:
        """All batches from the present step to the end, in order."""
        wanted = self.recipe.data.workers if self.options.workers is None else self.options.workers
        on_gpu = self.fabric.device.type == "cuda"
        # Crops have one size, so CUDA searches for the fastest convolution only once.
        torch.backends.cudnn.benchmark = on_gpu
        return iter(
            loader(
                self.setup.examples,
                Steps(self.progress.step, self.total, self.recipe.batch_size, self.recipe.passes),
                collate=self.setup.collate,
                workers=min(wanted, os.cpu_count() or 1),
                pin=on_gpu,
            )
        )

    def _step(self, batches: Iterator[Any]) -> dict[str, Tensor]:
        """One optimiser step."""
        began = time.perf_counter()
        rate = self.recipe.optimiser.lr
        factor = self.recipe.schedule.factor(
            self.progress.step, self.total, lr=rate, epoch_steps=self.epoch_steps
        )
        set_learning_rate(self.optimiser, rate * factor)
        summed: dict[str, Tensor] = {}
        # With 4 passes, four batches of 16 add up their gradients before one optimiser step: the mean
        # over 64 examples, with the memory of 16. Each loss is divided by 4, so that the sum is that mean.
        for _ in range(self.recipe.passes):
            with self.clock.count("data"):
                batch = self.fabric.to_device(next(batches))
            with self.clock.count("step"):
                terms = self.setup.losses(self.module, batch)
                loss = torch.stack(list(terms.values())).sum() / self.recipe.passes
                self.fabric.backward(loss)
                for name, value in terms.items():
                    summed[name] = summed.get(name, 0) + value.detach() / self.recipe.passes
        with self.clock.count("step"):
            if self.recipe.grad_clip:
                self.fabric.clip_gradients(
                    self.module, self.optimiser, max_norm=self.recipe.grad_clip, error_if_nonfinite=False
                )
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.average.update(self.network)
        self.progress.step += 1
        self.progress.seconds += time.perf_counter() - began
        if not math.isfinite(float(sum(summed.values()))):
            raise KitError(
                f"the loss is not a number after step {self.progress.step}: "
                + ", ".join(f"{name} {float(value):.3g}" for name, value in summed.items()),
                where=self.run.folder,
                fix="lower the learning rate, clip gradients or use 32-true; the last checkpoint is older",
            )
        return summed

    def _evaluate(self, log: Log) -> None:
        scratch = self.run.folder / "evaluation"
        shutil.rmtree(scratch, ignore_errors=True)
        # Stored predictions carry the step in their names, but not that of a process that died at the same
        # step with other weights: so the scratch folder is emptied before and after.
        self.status.update(state="validating")
        with self.clock.count("evaluation"), self.average.applied(self.network):
            metric = self.validation(self.network, self.progress.step, scratch, device=self.fabric.device)
        shutil.rmtree(scratch, ignore_errors=True)
        self.progress.offer(self.progress.step, metric, self.average.state)
        self.status.update(state="training", metric=metric, best_metric=self.progress.best_metric)
        if not self.options.bars:
            place = f"{self.run.name}: step {self.progress.step} of {self.total}"
            console().print(f"{place}, {self.validation.metric} {metric:.4f}", markup=False)
        log.write(
            self.progress.step,
            seconds=round(self.progress.seconds, 3),
            metric=metric,
            metric_name=self.validation.metric,
        )

    def _log(self, log: Log, terms: dict[str, Tensor]) -> None:
        values = {f"loss/{name}": float(value) for name, value in terms.items()}
        log.write(
            self.progress.step,
            seconds=round(self.progress.seconds, 3),
            loss=sum(values.values()),
            lr=float(self.optimiser.param_groups[0]["lr"]),
            **values,
        )

    def _out_of_time(self) -> bool:
        limit = self.options.max_seconds
        return limit is not None and time.monotonic() - self._began >= limit


def _status_file(run: Run, total: int, device: torch.device) -> StatusFile:
    return StatusFile(
        run.folder,
        total=total,
        device=device.type,
        gpu=gpu_name(device),
        memory_mb=partial(peak_memory_mb, device),
    )


def _bar_note(terms: dict[str, Tensor], progress: Progress) -> str:
    """What stands behind the progress bar: "loss 0.2134 best 0.6438"."""
    best = "" if progress.best_metric is None else f" best {progress.best_metric:.4f}"
    return f"loss {float(sum(terms.values())):.4f}{best}"
