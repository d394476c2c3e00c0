"""One step of the optimiser: forward passes, summed gradients, loss scale, update."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from kit.errors import KitError, NotFiniteError
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
        schedule, published = self.recipe.schedule, self.recipe.total_steps(self.setup.epoch)
        if total < published:  # fitted to a budget
            schedule = schedule.shortened(total / published)
        factor = schedule.factor(step, total, lr=rate, epoch_steps=epoch_steps)
        set_learning_rate(self.optimiser, rate * factor)
        # With 4 passes, four batches of 16 add up their gradients before one optimiser step: the mean over 64
        # examples, with the memory of 16. Each loss is divided by 4, so that the sum is that mean.
        done = [self._pass(batches, index) for index in range(self.layout.passes)]
        with self.clock.count("step"):
            means = self._means(done)
            self._require_numbers(means, done)  # waits for the GPU, so the time of the step is counted here
            self._update()
        self.progress.step += 1
        self.progress.seconds += time.perf_counter() - began
        return means

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
                terms = self._losses(batch, index)
                # DDP takes the mean over the processes, so each takes the mean over its own passes.
                self.fabric.backward(torch.stack(list(terms.values())).sum() / passes)
        return {name: value.detach() for name, value in terms.items()}

    def _losses(self, batch: Any, index: int) -> dict[str, Tensor]:
        try:
            return self.setup.losses(self.module, batch)
        except NotFiniteError as error:  # a detector's boxes, before any loss (`kit.models.cascade`)
            self._blame_the_step_before()
            if self._scaler is None or self.layout.processes > 1:
                passes = [self.layout.number(index)]
                raise self._diverged(self.progress.step + 1, error.problem, passes) from error
            # In float16 the forward pass overflows, too. Gradients that are no numbers make the scaler leave
            # the step out, as mmcv's does. With several processes the others wait for this one's gradients.
            weight = next(value for value in self.setup.network.parameters() if value.requires_grad)
            return {"overflow": (weight * math.nan).sum()}

    def _means(self, done: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The terms' means over all passes of all processes."""
        names = list(dict.fromkeys(name for terms in done for name in terms))
        zero = torch.zeros((), device=self.fabric.device)
        sums = torch.stack([torch.stack([terms.get(name, zero) for name in names]) for terms in done]).sum(0)
        if self.layout.processes > 1:
            sums = self.fabric.all_reduce(sums, reduce_op="sum")
        return dict(zip(names, sums / self.layout.all_passes, strict=True))

    @property
    def _scaler(self) -> Any:
        """Of the loss in float16; None in other precisions."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def _update(self) -> None:
        if self.recipe.grad_clip:
            self.fabric.clip_gradients(
                self.module, self.optimiser, max_norm=self.recipe.grad_clip, error_if_nonfinite=False
            )
        scaler = self._scaler
        scale = 0.0 if scaler is None else scaler.get_scale()
        self.optimiser.step()
        self.optimiser.zero_grad()
        if scaler is not None and scaler.get_scale() < scale:
            self.progress.overflows += 1
            return
        if self.average is not None:
            self.average.update()

    def require_finite_weights(self) -> None:
        """Refuse weights that are no numbers, before they are stored or handed on.

        Raises:
            KitError: the last step made them so. It names the images of that step.
        """
        self._require_finite(self.setup.network.state_dict().items())

    def _require_finite(self, named: Iterable[tuple[str, Tensor]]) -> None:
        bad = (
            name for name, value in named if value.is_floating_point() and not bool(value.isfinite().all())
        )
        if name := next(bad, None):
            passes = list(range(self.layout.all_passes))
            raise self._diverged(self.progress.step, f"{name} is no longer a number", passes)

    def _blame_the_step_before(self) -> None:
        """Raise if its gradients were infinite, though its loss was not: then this batch is not the cause."""
        if self.progress.step:
            # No buffers: batch norms have seen this batch already.
            self._require_finite(self.setup.network.named_parameters())

    def _require_numbers(self, means: Mapping[str, Tensor], done: list[dict[str, Tensor]]) -> None:
        """Check the loss before it changes the weights."""
        if math.isfinite(float(sum(means.values()))):
            self.progress.overflows_in_a_row = 0
            return
        if self._scaler is not None:
            self.progress.overflows_in_a_row += 1
            if self.progress.overflows_in_a_row < _OVERFLOWS:
                return
        self._blame_the_step_before()
        bad = [
            self.layout.number(index)
            for index, terms in enumerate(done)
            if not math.isfinite(float(sum(terms.values())))
        ]
        if self.layout.processes > 1:
            gathered: list[list[int]] = [[] for _ in range(self.layout.processes)]
            distributed.all_gather_object(gathered, bad)
            bad = sorted(number for numbers in gathered for number in numbers)
        terms = ", ".join(f"{name} {float(value):.3g}" for name, value in means.items())
        raise self._diverged(self.progress.step + 1, f"the loss is not a number: {terms}", bad)

    def _diverged(self, step: int, what: str, passes: list[int]) -> KitError:
        """Name the images of some passes of the `step`-th step, counted from 1."""
        batch = self.layout.batch
        items = [number * batch + place for number in passes for place in range(batch)]
        ids = dict.fromkeys(self.setup.examples.image_of((step - 1, item)) for item in items)
        return KitError(
            f"training diverged in step {step}: {what}; images of the batch: {', '.join(ids)}",
            where="training",
            fix="look at these images and their masks; if they are right, lower the learning rate, clip "
            "gradients or use 32-true. The last checkpoint is older and good",
        )
