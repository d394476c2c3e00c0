"""An exponential moving average of a network's parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from train_local.recipes.settings import Ema


class MovingAverage:
    """Exponential moving average of everything in a module's state dict.

    With `ramp`, the decay starts low and rises: after n updates it is min(decay, (1 + n) / (10 + n)), the
    rule of TensorFlow's `ExponentialMovingAverage`. So the random start is forgotten soon in short runs. For
    0.995:

        n       1     10    100    1000    1790 and more
        decay   0.18  0.55  0.918  0.991   0.995

    Integers (a batch norm's counter) are copied.

    Attributes:
        settings: of the recipe.
        updates: number of updates so far.
        state: the means, by name, on the module's device.
    """

    def __init__(self, module: nn.Module, settings: Ema) -> None:
        self.settings = settings
        self.updates = 0
        own = module.state_dict()
        self.state = {name: value.detach().clone() for name, value in own.items()}
        # The module's tensors keep their storage for its whole life (an optimiser writes in place, and so
        # does `load_state_dict`), so pairs of tensors are found once, and not by name at every step.
        pairs = [(self.state[name], value.detach()) for name, value in own.items()]
        self._means = [mean for mean, _ in pairs if mean.is_floating_point()]
        self._values = [value for mean, value in pairs if mean.is_floating_point()]
        self._copied = [(mean, value) for mean, value in pairs if not mean.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Add the module's present values to the mean."""
        self.updates += 1
        decay = self.settings.decay
        if self.settings.ramp:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        # mean + (1 - decay) * (value - mean) is decay * mean + (1 - decay) * value, in place, in one call for
        # all tensors.
        torch._foreach_lerp_(self._means, self._values, 1 - decay)
        for mean, value in self._copied:
            mean.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"updates": self.updates, "state": self.state}

    def load_state_dict(self, value: Mapping[str, Any]) -> None:
        """Take over what a checkpoint stored."""
        self.updates = int(value["updates"])
        for name, mean in self.state.items():
            mean.copy_(value["state"][name])


@contextmanager
def lent(module: nn.Module, state: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Put other weights into a module, in eval mode; restore its own values and mode afterwards.

    Args:
        module: to change.
        state: weights by name; None keeps the module's own.
    """
    own = None
    if state is not None:
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(state)
    training = module.training
    module.eval()
    try:
        yield
    finally:
        if own is not None:
            module.load_state_dict(own)
        module.train(training)
