"""Measure our training loop beside OpenMMLab's runners and a bare loop, on one network and the same data."""

from __future__ import annotations

import copy
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.rounds import median_ratio
from benchmarks.training_runners import Instances, Segments, Settings, train_detector, train_segmentor
from benchmarks.turns import Turns, step_by_step
from kit.errors import KitError
from kit.local.console import console
from train_local import recipes
from train_local.data import prepare
from train_local.data.prepared import Prepared
from train_local.data.sampler import Layout, Steps, loader
from train_local.engine.fabric import seed_all
from train_local.engine.loop import Trainer
from train_local.engine.optimise import make_optimiser
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.base import Recipe
from train_local.recipes.settings import Optimiser, Schedule, Validation

HEAD = ("network", "way", "batch", "s/step", "way / ours", "CPU s/step", "way / ours, CPU", "difference")
"""`way / ours`: median of the ratios of neighbouring steps; above 1 ours is quicker. `CPU`: what the process
computed, which load does not change. `difference`: how far
the weights after the last step lie from those of ours, over the way that ours moved them."""

SAMPLE = Path(__file__).parents[1] / "sample"
RATE, CLIP = 0.01, 35.0
SAME = 0.02
"""Two ways that differ by more did not do the same work. Rounding differs (mmdet normalises on the CPU), and
now and then it changes which box is sampled."""


@dataclass(frozen=True)
class Subject:
    """What is trained.

    Attributes:
        recipe: its tiny form gives the network and the augmentation.
        crop: side of an example in pixels.
        batch: examples of a step.
        peer: what the runner's way is called.
        watched: the part of the network that sees each batch once.
    """

    recipe: str
    crop: int
    batch: int
    peer: str
    watched: Callable[[Any], nn.Module]


SUBJECTS = (
    Subject("detectors-r50", 320, 2, "mmdet's runner", lambda network: network.backbone),
    Subject("unet-regnety16", 256, 8, "mmseg's runner", lambda network: network),
)


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`: an instance and a semantic network, each trained in three ways.

    Args:
        small: smaller images.
        rounds: measured steps of each way.

    Raises:
        KitError: a way failed, or two ways did not do the same.
    """
    for subject in SUBJECTS:
        console().print(f"measuring {subject.recipe} ...")
        with tempfile.TemporaryDirectory() as folder:
            yield from _rows(subject, Path(folder), small=small, rounds=rounds)


def _rows(subject: Subject, folder: Path, *, small: bool, rounds: int) -> Iterator[list[str]]:
    recipe = _recipe(subject, small=small, steps=rounds + 2)
    source = SAMPLE / recipe.competition
    data = prepare.prepare(recipe.competition, source, folder / "prepared", **_prepared(recipe))
    bench = Bench(recipe, data, folder, subject.watched)
    ways: dict[str, Callable[[Turns], None]] = {
        "ours": bench.ours,
        subject.peer: bench.runner,
        "bare loop": bench.bare,
    }
    measured = step_by_step(ways, rounds)
    ours = measured["ours"]
    for way, times in measured.items():
        difference = bench.difference(way)
        if difference > SAME:
            raise KitError(f"{way} trained {subject.recipe} to other weights than ours: {difference:.3f}")
        yield [
            subject.recipe,
            way,
            f"{recipe.batch_size} x {recipe.data.crop}",
            f"{statistics.median(times.seconds):.3f}",
            f"{median_ratio(times.seconds, ours.seconds):.2f}",
            f"{statistics.median(times.processor):.3f}",
            f"{median_ratio(times.processor, ours.processor):.3f}",
            f"{difference:.4f}",
        ]


def _recipe(subject: Subject, *, small: bool, steps: int) -> Recipe:
    """The tiny form without what only one of the ways does: running mean, changing rate, validation."""
    tiny = recipes.get(subject.recipe).tiny()
    return replace(
        tiny,
        iterations=steps,
        batch_size=2 if small else subject.batch,
        data=replace(tiny.data, crop=96 if small else subject.crop),
        optimiser=Optimiser(name="sgd", lr=RATE, momentum=0.9, weight_decay=1e-4),
        schedule=Schedule(policy="constant"),
        grad_clip=CLIP,
        ema=None,
        validation=Validation(every=steps, unit="iteration"),
    )


def _prepared(recipe: Recipe) -> dict[str, Any]:
    return {"reductions": [round(1 / recipe.data.scale)]} if recipe.kind == "semantic" else {}


class Bench:
    """The ways to train one network; all begin with the same weights and see the same examples.

    Args:
        recipe: what is trained.
        data: on what.
        folder: for runs.
        watched: the part of the network that sees each batch once; it tells where a step begins.
    """

    def __init__(
        self, recipe: Recipe, data: Prepared, folder: Path, watched: Callable[[Any], nn.Module]
    ) -> None:
        self._recipe, self._folder, self._watched = recipe, folder, watched
        run, initial = PlannedRun(recipe, 0).ready(data, folder / "runs")
        run.folder.mkdir(parents=True)
        self._trainer = Trainer(run, data, Options(device="cpu", bars=False, threads=1), initial)
        self._begin = copy.deepcopy(self._trainer.network.state_dict())
        # The copies are made before the first way moves its weights.
        self._networks: dict[str, Any] = {"ours": self._trainer.network}
        self._spare = [copy.deepcopy(self._trainer.network) for _ in range(2)]

    def ours(self, turns: Turns) -> None:
        """Train with the product's own loop: log, status, checks and all."""
        self._follow("ours", self._trainer.network, turns)
        self._trainer.fit()

    def runner(self, turns: Turns) -> None:
        """Train with OpenMMLab's runner, data loader, hooks and collation."""
        network, setup, batch = self._spare[0], self._trainer.setup, self._recipe.batch_size
        detects = self._recipe.kind == "instance"
        name = "mmdet's runner" if detects else "mmseg's runner"
        self._follow(name, network, turns)
        settings = Settings(RATE, CLIP, batch, self._folder / "runner")
        if detects:
            train_detector(network, Instances(setup.examples, turns.rounds + 2, batch), settings)
        else:
            examples = Segments(setup.examples, turns.rounds + 2, batch)
            train_segmentor(network, setup.losses, examples, settings)

    def bare(self, turns: Turns) -> None:
        """Train with the shortest loop there is: no log, no clock, no check of the loss."""
        network, setup = self._spare[1], self._trainer.setup
        self._follow("bare loop", network, turns)
        optimiser = make_optimiser(network, self._recipe.optimiser)
        steps = Steps(0, turns.rounds + 2, Layout(self._recipe.batch_size, 1))
        for batch in loader(setup.examples, steps, collate=setup.collate, workers=0, pin=False):
            optimiser.zero_grad()
            loss: Any = torch.stack(list(setup.losses(network, batch).values())).sum()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()

    def _follow(self, name: str, network: Any, turns: Turns) -> None:
        """Let a network tell when it begins a step; call it in the way's own thread."""
        self._networks[name] = network
        network.train()
        torch.set_num_threads(1)  # torch counts threads per thread

        def begins(_module: nn.Module, _inputs: Any) -> None:
            # mmdet's samplers draw from the global generators. Seeded anew, each way draws the same boxes.
            seed_all(turns.arrive(name))

        inner = network.network if self._recipe.kind == "instance" else network
        self._watched(inner).register_forward_pre_hook(begins)

    def difference(self, way: str) -> float:
        """Return how far the weights of a way lie from those of ours, over the distance that ours moved."""
        ours = _flat(self._networks["ours"].state_dict())
        moved = torch.linalg.vector_norm(ours - _flat(self._begin))
        apart = torch.linalg.vector_norm(_flat(self._networks[way].state_dict()) - ours)
        return float(apart / moved)


def _flat(state: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten().double() for value in state.values() if value.is_floating_point()])
