"""A running mean of a network's parameters and buffers: what is evaluated and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of everything in a module's state dict.

    The decay starts low and rises, min(decay, (1 + n) / (10 + n)) after n updates, so that short runs are not
    held back by their random start (the rule of TensorFlow's `ExponentialMovingAverage`). Integers are
    copied.

    Attributes:
        decay: its final value; 0 keeps the latest weights.
        updates: how many there were.
        state: the means, by name, on the module's device.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the module's present values."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in module.state_dict().items():
            mean = self.state[name]
            if mean.is_floating_point():
                mean.lerp_(value.detach().to(mean.dtype), 1 - decay)
            else:
                mean.copy_(value)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """The module with the means in it and in eval mode; its own values and mode come back afterwards."""
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
        """For a checkpoint."""
        return {"updates": self.updates, "state": self.state}

    def load_state_dict(self, value: dict[str, int | dict[str, Tensor]]) -> None:
        """From a checkpoint."""
        updates, state = value["updates"], value["state"]
        assert isinstance(updates, int)
        assert isinstance(state, dict)
        self.updates = updates
        for name, mean in self.state.items():
            mean.copy_(state[name])
