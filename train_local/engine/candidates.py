"""The sets of weights that a run has: those that the optimiser changes, and their average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, distributed, nn

from train_local.engine.ema import MovingAverage
from train_local.monitor.progress import Progress


class Candidates:
    """The raw weights and their average; tells which are validated, and which are the best and the last.

    Args:
        network: whose weights are the raw ones.
        average: None in a recipe without one.
        progress: of the run; knows the best weights.
    """

    def __init__(self, network: nn.Module, average: MovingAverage | None, progress: Progress) -> None:
        self._network, self._average, self._progress = network, average, progress

    @property
    def kinds(self) -> list[str]:
        """Kinds that are validated: "raw", "average", or both."""
        if self._average is None:
            return ["raw"]
        return ["average"] if self._average.settings.keep == "average" else ["raw", "average"]

    def state(self, kind: str) -> Mapping[str, Tensor]:
        """Return the present weights of a kind, by name."""
        if kind == "average":
            assert self._average is not None
            return self._average.state
        return self._network.state_dict()

    def share_statistics(self) -> None:
        """Give all processes the first one's batch norm statistics: each has seen other batches.

        They share the held-out images, and the first one's weights are those that are kept.
        """
        for name, value in self._network.named_buffers():
            distributed.broadcast(value, 0)
            if self._average is not None and name in self._average.state:
                distributed.broadcast(self._average.state[name], 0)

    def chosen(self, which: str) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
        """Return weights of the run, and step, metric and kind of them.

        Args:
            which: "best" (the last ones, where nothing was validated) or "last".
        """
        best = self._progress.best
        if which == "best" and best is not None:
            return best["state"], {key: value for key, value in best.items() if key != "state"}
        unvalidated: dict[str, Any] = {"metric": None, "kind": self.kinds[-1]}
        last = self._progress.last or unvalidated
        return self.state(last["kind"]), {"step": self._progress.step, **last}
