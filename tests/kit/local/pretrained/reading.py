"""Read a checkpoint whose network nobody knows: the largest state dict in it."""

from pathlib import Path

from torch import Tensor

from kit.local.pretrained import state_dicts
from kit.local.pretrained.read import load, no_tensors, opened


def read_tensors(path: Path, *, mean: bool = False) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint's largest state dict by name, without the prefix "module.".

    Args:
        path: of the file, see `opened`.
        mean: take the running mean of the weights if the file has one. The result never has both.

    Raises:
        KitError: as `opened`, or the file has no named tensors.
    """
    with opened(path) as value:
        found = state_dicts.find(value)
        chosen = min(found, key=lambda candidate: candidate.mean != mean, default=None)
        if chosen is None or not chosen.tensors:
            raise no_tensors(path)
        same = [item for item in found if item.numel == chosen.numel and item.mean == chosen.mean]
        return load(max(same, key=lambda candidate: candidate.depth))
