"""The tasks that workers get, and the stages at which a task can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["image", "read", "load", "forward", "error", "crash", "memory", "stall", "disk"]
"""What failed: the image is damaged, its file could not be read, the member cannot be loaded, the network
gave a wrong result, a library raised an error, the worker died, the memory was too small, the worker was
silent too long, the disk is full."""

MAY_PASS: frozenset[Stage] = frozenset({"read", "error", "crash", "memory", "stall"})
"""Stages that a second try may pass. A damaged image or weights of another network stay as they are."""
TRIES = 2
"""Number of times a task is given to a worker before its image or member is set aside."""


@dataclass(frozen=True)
class PassTask:
    """Run one pass over one image.

    Attributes:
        index: of the pass in `Ensemble.passes`.
        image: id of the image.
        attempt: number of failed tries before this one; from 1 on with a batch of one, from `TRIES` on alone.
    """

    index: int
    image: str
    attempt: int = 0


@dataclass(frozen=True)
class MeanTask:
    """Add the map of one pass to the running mean of its image."""

    index: int
    image: str


@dataclass(frozen=True)
class FuseTask:
    """Make one image's row of one rung from the results of its passes."""

    rung: int
    image: str


@dataclass(frozen=True)
class ValidateTask:
    """Check the complete file of a rung before it replaces the old submission.

    Attributes:
        rung: index in `Ensemble.rungs`.
        file: path of the file.
    """

    rung: int
    file: str


LadderTask = PassTask | MeanTask | FuseTask
Task = LadderTask | ValidateTask
