"""Weights in a file of the model's own format: carried as the bytes of one tensor, loaded without pickles.

Everything between training and Kaggle (hashes, shards, datasets, checks of headers) knows safetensors only.
So such a file travels inside one: {"file": uint8 (bytes of the file,)}.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit.errors import KitError

TENSOR = "file"
"""Name of the tensor that holds the file."""
_FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class OwnFile(nn.Module):
    """Looks like a network with one tensor; loading it calls the model's own `load`.

    Args:
        model: has `load(path)`.
        name: of the file.
        size: of the file in bytes.
    """

    def __init__(self, model: Any, name: str, size: int) -> None:
        super().__init__()
        self.model, self._name, self._size = model, name, size

    def state_dict(self, *_arguments: Any, **_words: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the name and shape of the tensor; its values are zeros that take no memory."""
        return {TENSOR: torch.zeros(1, dtype=torch.uint8).expand(self._size)}

    def load_state_dict(self, state_dict: Mapping[str, Any], *_arguments: Any, **_words: Any) -> Any:
        """Write the file and let the model load it.

        Raises:
            KitError: its `load` unpickles something that torch's weights_only does not allow.
        """
        with tempfile.TemporaryDirectory(prefix="own-weights-") as folder:
            path = Path(folder) / self._name
            state_dict[TENSOR].cpu().numpy().tofile(path)
            with without_pickles(self._name):
                self.model.load(path)


@contextmanager
def without_pickles(name: str) -> Iterator[None]:
    """Refuse in this thread every pickle that names a class; torch.load is forced to weights_only=True.

    Args:
        name: of the file that is loaded, for messages.

    Raises:
        KitError: a pickle asked for a class or function.
    """
    # A pickle does harm by the functions that it names, and Python tells each of them to audit hooks. torch's
    # own unpickler of weights_only has a list of harmless ones and does not ask Python for others.
    thread, active = threading.get_ident(), True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if active and event == "pickle.find_class" and threading.get_ident() == thread:
            raise KitError(
                f"{name} is loaded with a pickle, which could run code on Kaggle: it asks for "
                f"{arguments[0]}.{arguments[1]}",
                fix="save a state dict and load it with torch.load(path, weights_only=True), or write "
                "safetensors",
            )

    sys.addaudithook(hook)  # there is no way to remove one; `active` ends its work
    before = os.environ.get(_FORCED)
    os.environ[_FORCED] = "1"
    try:
        yield
    finally:
        active = False
        if before is None:
            del os.environ[_FORCED]
        else:
            os.environ[_FORCED] = before
