"""What a start of a training run may be told. Command lines import this, so it imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from kit.command_line import option
from kit.typed_json import Checked, at_least

Seconds = Annotated[float, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class Options(Checked):
    """What may differ between two starts of one run and leaves its result alone (but see `threads`).

    Attributes:
        device: where the network computes; "auto" takes the GPU if there is one.
        max_seconds: end cleanly after this much time of this start; None trains to the end.
        workers: data loader processes; None takes the recipe's.
        checkpoint_seconds: time between checkpoints; every evaluation writes one as well.
        bars: draw progress bars; else say a line at each evaluation.
        threads: of the CPU's arithmetic, when training on it. More than one also changes the order of sums,
            and with it the last bits of the result; and on a busy machine they cost more than they bring.
    """

    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata=option("where the network computes")
    )
    max_seconds: Seconds | None = field(
        default=None, metadata=option("end each run cleanly after this much time", metavar="SECONDS")
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
