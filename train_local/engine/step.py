"""One step of the optimiser: forward passes, summed gradients, loss scale, update."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from kit.errors import KitError
from train_local.data.sampler import Layout
from train_local.engine.ema import MovingAverage
from train_local.engine.fabric import seed_pass
from train_local.engine.optimise import set_learning_rate
from train_local.engine.training_setup import TrainingSetup
from train_local.monitor.progress import Clock, Progress
from train_local.recipes.base import Recipe

_OVERFLOWS = 20
"""Steps in a row whose loss is no number, in float16, that end the run."""


@dataclass(frozen=True, kw_only=True)
class Stepper:
    """Takes the steps of a run.

    Attributes:
        fabric: of this process.
        recipe: what is trained.
        setup: examples and losses.
        module: the network as Fabric wraps it.
        optimiser: the same.
        average: of the weights, if the recipe has one.
        layout: which passes of a step are this process's.
        seed: of the run.
        progress: is moved on.
        clock: is told where the time goes.
    """

    fabric: Fabric
    recipe: Recipe
    setup: TrainingSetup
    module: nn.Module
    optimiser: Optimizer
    average: MovingAverage | None
    layout: Layout
    seed: int
    progress: Progress
    clock: Clock

    def take(self, batches: Iterator[Any], total: int) -> dict[str, Tensor]:
        """Take one step.

        A step whose gradients overflow in float16 changes no weight: torch's scaler leaves it out and halves
        its scale. It counts as a step all the same, as in mmcv: the learning rate is a function of the step's
        number, and its examples are used up.

        Args:
            batches: of this process, in order.
            total: steps of the whole run; the learning rate falls until then.

        Returns:
            The weighted terms of the loss, means over all passes of all processes.

        Raises:
            KitError: the loss is no number. It names the images of the batch.
        """
        began = time.perf_counter()
        step, rate = self.progress.step, self.recipe.optimiser.lr
        epoch_steps = self.recipe.epoch_steps(self.setup.epoch)
        factor = self.recipe.schedule.factor(step, total, lr=rate, epoch_steps=epoch_steps)
        set_learning_rate(self.optimiser, rate * factor)
        # With 4 passes, four batches of 16 add up their gradients before one optimiser step: the mean over 64
        # examples, with the memory of 16. Each loss is divided by 4, so that the sum is that mean.
        done = [self._pass(batches, index) for index in range(self.layout.passes)]
        with self.clock.count("step"):
            self._update()
        names = list(done[0])
        mean = torch.stack([torch.stack([terms[name] for name in names]) for terms in done]).sum(0)
        mean /= self.layout.all_passes
        if self.layout.processes > 1:
            mean = self.fabric.all_reduce(mean, reduce_op="sum")
        self.progress.step += 1
        self._require_numbers(mean, done)
        self.progress.seconds += time.perf_counter() - began
        return dict(zip(names, mean, strict=True))

    def _pass(self, batches: Iterator[Any], index: int) -> dict[str, Tensor]:
        """Add the gradients of one batch; return its terms."""
        passes = self.layout.passes
        with self.clock.count("data"):
            batch = self.fabric.to_device(next(batches))
        with self.clock.count("step"):
            seed_pass(self.seed, self.progress.step, self.layout.number(index))
            # Processes exchange their gradients in the last pass of a step, not in each.
            several = self.layout.processes > 1
            with self.fabric.no_backward_sync(self.module, enabled=several and index < passes - 1):
                terms = self.setup.losses(self.module, batch)
                # DDP takes the mean over the processes, so each takes the mean over its own passes.
                self.fabric.backward(torch.stack(list(terms.values())).sum() / passes)
        return {name: value.detach() for name, value in terms.items()}

    def _update(self) -> None:
        if self.recipe.grad_clip:
            self.fabric.clip_gradients(
                self.module, self.optimiser, max_norm=self.recipe.grad_clip, error_if_nonfinite=False
            )
        scaler = getattr(self.fabric.strategy.precision, "scaler", None)
        scale = 0.0 if scaler is None else scaler.get_scale()
        self.optimiser.step()
        self.optimiser.zero_grad()
        if scaler is not None and scaler.get_scale() < scale:
            self.progress.overflows += 1
            return
        if self.average is not None:
            self.average.update()

    def _require_numbers(self, mean: Tensor, done: list[dict[str, Tensor]]) -> None:
        if math.isfinite(float(mean.sum())):
            self.progress.overflows_in_a_row = 0
            return
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            self.progress.overflows_in_a_row += 1
            if self.progress.overflows_in_a_row < _OVERFLOWS:
                return
        step = self.progress.step - 1
        bad = [
            self.layout.number(index)
            for index, terms in enumerate(done)
            if not math.isfinite(float(sum(terms.values())))
        ]
        if self.layout.processes > 1:
            gathered: list[list[int]] = [[] for _ in range(self.layout.processes)]
            distributed.all_gather_object(gathered, bad)
            bad = sorted(number for numbers in gathered for number in numbers)
        batch = self.layout.batch
        items = [number * batch + place for number in bad for place in range(batch)]
        ids = dict.fromkeys(self.setup.examples.image_of((step, item)) for item in items)
        terms = ", ".join(f"{name} {float(value):.3g}" for name, value in zip(done[0], mean, strict=True))
        raise KitError(
            f"the loss is not a number after step {self.progress.step}: {terms}; "
            f"images of the batch: {', '.join(ids)}",
            where="training",
            fix="look at these images and their masks; if they are right, lower the learning rate, clip "
            "gradients or use 32-true. The last checkpoint is older and good",
        )
