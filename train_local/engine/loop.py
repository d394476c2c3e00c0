"""The training loop. Lightning Fabric handles devices and precision; the rest is written out here.

The result of a run depends on its config and data only. Examples depend on (seed, step, item), what a network
draws at random on (seed, step, pass), and everything else that changes is in the checkpoint. So a run that is
killed at any point and started again ends with the same weights (on one machine; on CUDA only as far as its
kernels are deterministic).
"""

from __future__ import annotations

import os
import time

import cv2
import torch

from kit.memory import keep_freed_memory
from kit.models import Network
from train_local.data.batches import Batches
from train_local.data.prepared import Prepared
from train_local.data.sampler import Layout
from train_local.engine import checkpoint
from train_local.engine.candidates import Candidates
from train_local.engine.ema import MovingAverage, lent
from train_local.engine.fabric import make_fabric, seed_all
from train_local.engine.initial_weights import InitialWeights, load_initial_weights
from train_local.engine.optimise import make_optimiser
from train_local.engine.processes import Member
from train_local.engine.step import Stepper
from train_local.engine.training_setup import make_setup
from train_local.monitor.progress import Clock, Progress
from train_local.monitor.reporter import Reporter
from train_local.options import Options
from train_local.runs import Run
from train_local.validation.evaluate import Validation, scratch_folder


class Trainer:
    """Trains one run, in this process alone or in one of several.

    Args:
        run: what to train.
        prepared: on what.
        options: of this process, e.g. device and time limit.
        initial: weights it begins with.
        member: this process among those that train together. Only the first one writes files.
    """

    def __init__(
        self,
        run: Run,
        prepared: Prepared,
        options: Options,
        initial: InitialWeights,
        member: Member | None = None,
    ) -> None:
        self.began = self._saved = time.monotonic()
        self.run, self.options, self.recipe = run, options, run.recipe
        self.member = member or Member()
        self.layout = Layout(self.recipe.batch_size, self.recipe.passes, self.member.rank, self.member.count)
        self.fabric = make_fabric(
            options.device, self.recipe.precision, loss_scale=self.recipe.loss_scale, member=self.member
        )
        if self.fabric.device.type == "cpu":
            torch.set_num_threads(options.threads)
            cv2.setNumThreads(options.threads)
            keep_freed_memory()
        seed_all(run.seed)
        self.setup = make_setup(run, prepared)
        self.eval_steps = self.recipe.validation_steps(self.setup.epoch)
        self.total = self.published = self.recipe.total_steps(self.setup.epoch)
        self.network: Network = self.setup.network
        load_initial_weights(self.network, self.recipe, initial)
        optimiser = make_optimiser(self.network, self.recipe.optimiser)
        module, self.optimiser = self.fabric.setup(self.network, optimiser)
        ema = self.recipe.ema
        self.average = MovingAverage(self.network, ema) if ema is not None else None
        self.validation = Validation(run, prepared)
        self.progress, self.clock = Progress(), Clock()
        self.candidates = Candidates(self.network, self.average, self.progress)
        self.reporter = Reporter(
            run,
            self.progress,
            self.clock,
            self.fabric.device,
            total=self.total,
            bars=options.bars,
            silent=not self.writes,
        )
        self.stepper = Stepper(
            fabric=self.fabric,
            recipe=self.recipe,
            setup=self.setup,
            module=module,
            optimiser=self.optimiser,
            average=self.average,
            layout=self.layout,
            seed=run.seed,
            progress=self.progress,
            clock=self.clock,
        )

    @property
    def writes(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.member.rank == 0

    @property
    def stopped_early(self) -> bool:
        """Whether the validations have not become better for longer than the recipe waits."""
        patience = self.recipe.validation.patience
        return patience is not None and self.progress.stale > patience

    def load(self) -> bool:
        """Go on from the last checkpoint; return False if there is none."""
        state = checkpoint.load(self.run.checkpoints, identity=self.run.identity)
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:  # empty if it was trained so far where nothing is scaled, on a CPU
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.progress.load_state_dict(state["progress"])
        self.set_total(state["total"])
        return True

    def save(self) -> None:
        """Write a checkpoint of the present step; raise a KitError if its weights are no numbers."""
        if not self.writes:
            return
        self.stepper.require_finite_weights()
        self.reporter.sync()
        state = {
            "step": self.progress.step,
            "total": self.total,
            "progress": self.progress.state_dict(),
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
        }
        checkpoint.save(self.run.checkpoints, self.progress.step, state, identity=self.run.identity)
        self._saved = time.monotonic()

    def set_total(self, total: int) -> None:
        """Give the run a length; the learning rate falls until then."""
        self.total = total
        self.reporter.set_total(total)

    def fit(self) -> bool:
        """Train until the end or until the time is up; `candidates` hold the result.

        Returns:
            Whether the end was reached.

        Raises:
            KitError: the loss is no longer a number, an example cannot be read, or the disk is full.
        """
        if self.progress.step:
            self.reporter.say(f"going on from step {self.progress.step} of {self.total}")
        if not self.validation.ids:
            self.reporter.say("it trains on every image, so none is held out and nothing is validated")
        with self.reporter.opened():
            if self.total != self.published and not self.progress.step:
                self.save()  # a length that was fitted to a budget has to outlive this process
            batches = self.batches(self.total)
            self.network.train()
            self.reporter.state("training")
            while self.progress.step < self.total and not self.stopped_early:
                terms = self.stepper.take(batches, self.total)
                self.reporter.stepped(terms, float(self.optimiser.param_groups[0]["lr"]))
                step = self.progress.step
                # The log is synced before each checkpoint (see `save`). A process that goes on from step 300
                # removes the lines after step 300 and writes them again, so no line is missing or doubled.
                if step % self.eval_steps == 0 or step == self.total:
                    self._evaluate()
                    self.save()
                elif time.monotonic() - self._saved > self.options.checkpoint_seconds:
                    self.save()
                if step < self.total and not self.stopped_early and self._out_of_time():
                    self.save()
                    # This evaluation comes after the checkpoint and is not in it: it is only for those who
                    # want the weights now. A run that goes on later must choose its best weights among the
                    # regular evaluations, as an undisturbed run does.
                    if step % self.eval_steps:
                        self._evaluate()
                    return False
        return True

    def batches(self, total: int) -> Batches:
        """Return the batches from the present step to step `total`, in order."""
        wanted = self.recipe.data.workers if self.options.workers is None else self.options.workers
        on_gpu = self.fabric.device.type == "cuda"
        # Crops have one size, so CUDA searches for the fastest convolution only once.
        torch.backends.cudnn.benchmark = on_gpu
        return Batches(
            self.setup.examples,
            self.setup.collate,
            self.layout,
            first=self.progress.step,
            total=total,
            workers=min(wanted, max(len(os.sched_getaffinity(0)) // self.member.count, 1)),
            pin=on_gpu,
        )

    def metric_of(self, kind: str) -> float:
        """Return the metric of the held-out images, by the raw weights or by their average."""
        folder = self.run.folder / "evaluation"
        other = None if kind == "raw" else self.candidates.state(kind)
        with scratch_folder(folder, self.fabric), lent(self.network, other):
            return self.validation(self.network, self.progress.step, folder, fabric=self.fabric)

    def agreed(self, answer: bool) -> bool:
        """Return the first process's answer, in all of them."""
        return bool(self.fabric.broadcast(answer)) if self.member.count > 1 else answer

    def _evaluate(self) -> None:
        """Validate the raw weights, the average, or both; offer the better ones as the best of the run."""
        if not self.validation.ids:
            return
        self.stepper.require_finite_weights()
        if self.member.count > 1:
            self.candidates.share_statistics()
        kinds = self.candidates.kinds
        self.reporter.state("validating")
        with self.clock.count("evaluation"):
            metrics = {kind: self.metric_of(kind) for kind in kinds}
        kind = max(kinds, key=lambda kind: metrics[kind])  # of two equal ones the raw weights
        self.progress.offer(self.progress.step, metrics[kind], kind, self.candidates.state(kind))
        found = self.validation
        self.reporter.evaluated(metrics[kind], found.metric, metrics, found.pictures, tiles=found.tiles)

    def _out_of_time(self) -> bool:
        limit = self.options.max_seconds
        return limit is not None and self.agreed(time.monotonic() - self.began >= limit)
