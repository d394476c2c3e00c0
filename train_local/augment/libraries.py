"""Operations of libraries: each is made once in a process, and draws from the example's generator only."""

from __future__ import annotations

import importlib
import json
import os
import random as python_random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import numpy as np

from train_local.augment.operation import Example

Library = Literal["albumentations", "mmdet"]
Kind = Literal["semantic", "instance"]
_MODULES: dict[Library, str] = {
    "albumentations": "train_local.augment.from_albumentations",
    "mmdet": "train_local.augment.from_mmdet",
}
"""Whole names: the identity of a training finds the source that it runs by the names in it."""
Done = Callable[[Example, np.random.Generator], Example]
"""Does one operation to an example, with random numbers of the generator only."""


@lru_cache(maxsize=1024)
def made(library: Library, op: str, args: str) -> Done:
    """Make an operation of a library.

    Args:
        library: which.
        op: the operation's name there.
        args: its arguments as a JSON text.

    Raises:
        KitError: the library has no such operation, or the operation refuses an argument.
    """
    # albumentations would ask PyPI for its newest version whenever it is imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # The libraries take seconds to import, so that happens here and not when a recipe is written.
    module = importlib.import_module(_MODULES[library])
    done: Done = module.make(op, json.loads(args))
    return done


@contextmanager
def seeded(random: np.random.Generator) -> Iterator[None]:
    """Let numpy's and Python's global generators depend on `random` inside, and as before afterwards.

    mmdet draws from them. So an example stays a function of its own seed, whichever worker makes it and
    whatever was drawn before.
    """
    of_numpy, of_python = np.random.get_state(), python_random.getstate()  # noqa: NPY002 - mmdet draws there
    seeds = random.integers(2**32, size=2, dtype=np.uint64)
    np.random.seed(int(seeds[0]))  # noqa: NPY002 - as above
    python_random.seed(int(seeds[1]))
    try:
        yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002 - as above
        python_random.setstate(of_python)
