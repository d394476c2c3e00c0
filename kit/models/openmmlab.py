"""mmcv, mmseg and mmdet talk when they are imported and when they build; this makes them quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence while mmcv is imported: it announces its successor, and torch that there is no CUDA.

    Their loggers stay at warnings afterwards: they would list every parameter's initialisation.
    """
    compiler = logging.getLogger("torch.utils.cpp_extension")
    before = compiler.level
    compiler.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="On January 1, 2023, MMCV will release", category=UserWarning
            )
            yield
    finally:
        compiler.setLevel(before)
    for library in ("mmcv", "mmseg", "mmdet"):
        logging.getLogger(library).setLevel(logging.WARNING)
