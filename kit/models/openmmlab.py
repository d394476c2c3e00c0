"""Suppress the messages that mmcv, mmseg and mmdet print when they are imported and build networks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the announcement of mmcv's successor and torch's remark that there is no CUDA.

    Afterwards the three loggers stay at level WARNING. Otherwise they list every parameter's initialisation.
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
