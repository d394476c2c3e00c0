"""How many steps fit into a budget of time: `--budget 2h`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train_local.monitor.progress import Progress

if TYPE_CHECKING:
    from train_local.engine.loop import Trainer

_KEPT = 0.05
"""Share of the budget that no step is planned for: machines do not keep their speed."""

_WARM_UP, _MEASURED = 3, 30
"""Steps that are not measured, and most steps that are."""
_SHARE = 0.05
"""Of the budget, for measured steps."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Measured times of a run.

    Attributes:
        step: seconds of an optimiser step.
        validation: seconds of a validation; 0 where there is none.
        between: steps between validations.
        after: validations that the out-of-fold predictions at the end take the time of.
    """

    step: float
    validation: float
    between: int
    after: float

    def duration(self, steps: int) -> float:
        """Return the seconds of a whole run."""
        # With one validation every 100 steps, 250 steps have three: at 100, at 200 and at the end.
        return steps * self.step + (-(-steps // self.between) + self.after) * self.validation


def fitted_steps(pace: Pace, left: float, published: int, epoch: int | None) -> int:
    """Return how many steps a run may have.

    Args:
        pace: of this machine.
        left: seconds of the budget that are left.
        published: steps of the whole run; never more.
        epoch: the result is a multiple of this, where one fits; None for a run that counts iterations.

    Returns:
        At least 1.
    """
    left *= 1 - _KEPT
    if pace.duration(published) <= left:
        return published
    low, high = 1, published  # `low` steps fit, or are the least; `high` steps don't
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if pace.duration(middle) <= left else (low, middle)
    return low - low % epoch if epoch is not None and low >= epoch else low


def fit_to_budget(trainer: Trainer, budget: float) -> None:
    """Measure some steps and a validation on this machine, undo them, and set the length of the run.

    The run is then the one that it would be with this length in its recipe, and with warm-up and restarts
    that are shorter by the same factor: it begins at step 0 with the initial weights.

    Args:
        trainer: that has taken no step.
        budget: seconds, from the start of the trainer.
    """
    average, fabric = trainer.average, trainer.fabric
    state = {name: value.detach().cpu().clone() for name, value in trainer.network.state_dict().items()}
    optimiser, scaler = trainer.optimiser.state_dict(), dict(fabric.strategy.precision.state_dict())
    step = _step_seconds(trainer, budget)
    validation = 0.0
    if trainer.validation.ids:
        began = time.monotonic()
        trainer.metric_of("raw")
        validation = time.monotonic() - began
    # What is validated twice (raw and average) is predicted once at the end, under the recipe's views.
    twice = 2 if trainer.recipe.ema is not None and trainer.recipe.ema.keep == "better" else 1
    views = len(trainer.recipe.views) / len(trainer.recipe.validation.views)
    pace = Pace(step=step, validation=validation * twice, between=trainer.eval_steps, after=views / twice)
    epoch = trainer.recipe.epoch_steps(trainer.setup.epoch) if trainer.recipe.epochs is not None else None
    left = budget - (time.monotonic() - trainer.began)
    steps = fitted_steps(pace, left, trainer.published, epoch)
    trainer.network.load_state_dict(state)
    trainer.optimiser.load_state_dict(optimiser)
    fabric.strategy.precision.load_state_dict(scaler)
    if average is not None:
        average.load_state_dict({"updates": 0, "state": state})
    trainer.progress.load_state_dict(Progress().state_dict())
    trainer.clock.spent.update(dict.fromkeys(trainer.clock.spent, 0.0))
    trainer.set_total(int(fabric.broadcast(steps)) if trainer.member.count > 1 else steps)
    trainer.reporter.say(
        f"{trainer.total} of {trainer.published} published steps fit into {budget:.0f} s "
        f"({step:.3g} s a step, {validation:.3g} s a validation)"
    )


def _step_seconds(trainer: Trainer, budget: float) -> float:
    """Mean duration of some steps; they change the weights."""
    most = min(_MEASURED + _WARM_UP, trainer.published)
    batches = trainer.batches(most)
    trainer.network.train()
    times: list[float] = []
    while len(times) < most:
        began = time.monotonic()
        trainer.stepper.take(batches, trainer.published)
        times.append(time.monotonic() - began)
        # All processes have to stop at the same step.
        if trainer.agreed(len(times) > _WARM_UP and sum(times) > _SHARE * budget):
            break
    # The first steps allocate memory and choose kernels.
    kept = times[_WARM_UP:] or times[-1:]
    return sum(kept) / len(kept)
