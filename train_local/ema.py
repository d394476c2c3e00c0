"""An exponential moving average of a network's parameters and buffers: what is evaluated and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of everything in a module's state dict.

    The decay starts low and rises: after n updates it is min(decay, (1 + n) / (10 + n)), the rule of
    TensorFlow's `ExponentialMovingAverage`. So the random start is forgotten soon in short runs. For 0.995:

        n       1     10    100    1000    1790 and more
        decay   0.18  0.55  0.918  0.991   0.995

    Integers (a batch norm's counter) are copied.

    Attributes:
        decay: its final value; 0 keeps the latest weights.
        updates: number of updates so far.
        state: the means, by name, on the module's device.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Add the module's present values to the mean."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in module.state_dict().items():
            # mean + (1 - decay) * (value - mean) is decay * mean + (1 - decay) * value, in place.
            mean = self.state[name]
            if mean.is_floating_point():
                mean.lerp_(value.detach().to(mean.dtype), 1 - decay)
            else:
                mean.copy_(value)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Put the means into the module, in eval mode; restore its own values and mode afterwards."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        training = module.training
        module.load_state_dict(self.state)
        module.eval()
        try:
            yield
        finally:
            module.load_state_dict(own)
            module.train(training)

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """Return what a checkpoint stores."""
        return {"updates": self.updates, "state": self.state}

    def load_state_dict(self, value: dict[str, int | dict[str, Tensor]]) -> None:
        """Take over what a checkpoint stored."""
        updates, state = value["updates"], value["state"]
        assert isinstance(updates, int)
        assert isinstance(state, dict)
        self.updates = updates
        for name, mean in self.state.items():
            mean.copy_(state[name])
