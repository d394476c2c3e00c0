"""Every network in turn: time, memory, and how near the machine's limit that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.measure import Case, measure
from kit.local.console import console
from kit.local.estimate import estimate
from kit.models import tiny

WAYS = ("float32", "bfloat16", "channels_last")
HEAD = (
    "network",
    "GFLOP",
    "fp32 s",
    "bf16 s",
    "NHWC s",
    "of peak",
    "MB",
    "bf16 MB",
)
"""`of peak`: part of what a large matrix product reaches; seconds and most memory of the whole process."""


def rows(
    names: Sequence[str], *, size: int, seconds: float, threads: int, small: bool
) -> Iterator[list[str]]:
    """Rows under `HEAD`: one image through each network in prediction.

    Args:
        names: in the registry.
        size: side of the square image in pixels.
        seconds: how long each way is repeated.
        threads: of the CPU.
        small: the tiny forms.
    """
    for name in names:
        config = tiny(name) if small else {"network": name}
        case = Case(network=config, height=size, width=size, ways=WAYS, seconds=seconds, threads=threads)
        console().print(f"measuring {name} ...")
        found, expected = measure(case), estimate(config, size, size)
        rate = expected.forward_flops / found.seconds["float32"]
        yield [
            name,
            f"{expected.forward_flops / 1e9:.1f}",
            *(f"{found.seconds[way]:.2f}" for way in WAYS),
            f"{rate / found.matmul_flops['float32']:.0%}",
            *(f"{found.peak_bytes[way] / 1e6:.0f}" for way in WAYS[:2]),
        ]
