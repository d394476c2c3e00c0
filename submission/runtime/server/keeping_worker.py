"""A worker that keeps members loaded from call to call, as far as its memory goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit.ensemble import Ensemble
from submission.runtime.work.device import GIB, available_memory
from submission.runtime.work.messages import PassDone, PassRequest
from submission.runtime.work.worker import Channel, Worker

_COPIES_OF_WEIGHTS = 3
"""The file, the module, and what the first layers need on top."""
_GPU_KEPT_FREE = 0.25
_KEPT_FREE = 4 * GIB


class KeepingWorker(Worker):
    """Does tasks; each call needs all members again, so they stay loaded side by side.

    A file of 500 images needs 16 loads on each worker. 500 calls with one image each would need 8000.

    Args:
        ensemble: of the script.
        device: "cpu" or "cuda:0".
        channel: to the supervisor.
    """

    def __init__(self, ensemble: Ensemble, device: str, channel: Channel) -> None:
        super().__init__(ensemble, device, channel)
        self._kept: dict[int, Any] = {}
        self._keeps = True

    def _load(self, member: int, weights: Path) -> float:
        if member in self._kept:
            self.module, self.loaded = self._kept[member], member
            return 0.0
        if not self._has_room(self.ensemble.members[member].size):
            self._drop()
        seconds = super()._load(member, weights)
        self._kept[member] = self.module
        return seconds

    def _run_pass(self, request: PassRequest) -> PassDone:
        try:
            return super()._run_pass(request)
        except Exception as error:
            if len(self._kept) < 2 or self._failure(request, error).stage != "memory":
                raise
        # Not inside `except`: there the error holds the tensors of the forward pass.
        self._keeps = False
        self._drop()
        return super()._run_pass(request)

    def _has_room(self, size: int) -> bool:
        if not self._keeps:
            return False
        if self.device == "cpu":
            free, spare = available_memory() or 0, _KEPT_FREE
        else:
            import torch

            free, total = torch.cuda.mem_get_info(torch.device(self.device))
            spare = int(_GPU_KEPT_FREE * total)
        return free - _COPIES_OF_WEIGHTS * size >= spare

    def _drop(self) -> None:
        """Drop all members."""
        import torch

        self._kept.clear()
        self.module, self.loaded = None, None
        if self.device != "cpu":
            torch.cuda.empty_cache()
