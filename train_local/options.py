"""How a training process runs. Command lines import this, so it imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from kit.command_line import option
from kit.typed_json import Checked, at_least
from train_local.durations import seconds

Seconds = Annotated[float, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """How a training process runs; the result of a run stays the same (but see `threads`).

    Attributes:
        device: where the network computes; "auto" takes the GPU if there is one.
        max_seconds: write a checkpoint and stop after this much time; None trains to the end.
        budget: shorten the run so that it ends within this much time: some steps are measured, and the
            schedule is fitted to the number that fits. The result depends on it, and `done.json` says so.
        gpus: processes that train one run together, each on a GPU of its own (on `device` "cpu", each on
            the CPU); the examples of a step stay the same.
        workers: data loader processes; None takes the recipe's.
        checkpoint_seconds: time between checkpoints; every evaluation writes one as well.
        bars: draw progress bars; else print a line at each evaluation.
        threads: CPU threads when training on the CPU. More than one changes the order of sums, and with it
            the last bits of the result; on a busy machine they also cost more time than they save.
    """

    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata=option("where the network computes")
    )
    max_seconds: Seconds | None = field(
        default=None, metadata=option("end each run cleanly after this much time", metavar="SECONDS")
    )
    budget: Seconds | None = field(
        default=None,
        metadata=option(
            "fit the length of each training, not of all together, to this much time: 2h, 90m",
            metavar="TIME",
            read=seconds,
        ),
    )
    gpus: Annotated[int, at_least(1)] = field(
        default=1,
        metadata=option("GPUs that train one run together", metavar="N", flag="--gpus-per-run"),
    )
    workers: Annotated[int, at_least(0)] | None = field(
        default=None, metadata=option("data loader processes (default: the recipe's)", metavar="N")
    )
    checkpoint_seconds: Seconds = field(
        default=300.0, metadata=option("time between checkpoints", metavar="SECONDS")
    )
    bars: bool = True
    threads: Annotated[int, at_least(1)] = field(
        default=1, metadata=option("threads of the CPU, where there is no GPU", metavar="N")
    )
