"""Measure time and memory of each network, and compare its speed with the limit of the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.measure import SMALL_MATMUL, Case, measure
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
"""`NHWC s`: float32 with channels-last convolutions. `of peak`: share of the speed of a large matrix product.
`MB`: peak memory of the whole process."""


def rows(
    names: Sequence[str], *, size: int, seconds: float, threads: int, small: bool
) -> Iterator[list[str]]:
    """Yield rows under `HEAD`: each network predicts one image.

    Args:
        names: in the registry.
        size: side of the square image in pixels.
        seconds: how long each way is repeated.
        threads: number of CPU threads.
        small: measure the tiny forms of the networks.
    """
    for name in names:
        config = tiny(name) if small else {"network": name}
        case = Case(network=config, height=size, width=size, ways=WAYS, seconds=seconds, threads=threads)
        case = replace(case, matmul_side=SMALL_MATMUL) if small else case
        console().print(f"measuring {name} ...")
        found, expected = measure(case), estimate(config, size, size)
        # Example: segformer-b5 takes 142.7 GFLOP and 0.93 s, so it computes 153 GFLOP/s. If the matrix
        # product reaches 185 GFLOP/s, `of peak` is 83 %. It can exceed 100 %: convolutions by Winograd's
        # algorithm multiply less often than the count assumes, and other processes may have slowed the matrix
        # product down.
        rate = expected.forward_flops / found.seconds["float32"]
        yield [
            name,
            f"{expected.forward_flops / 1e9:.1f}",
            *(f"{found.seconds[way]:.2f}" for way in WAYS),
            f"{rate / found.matmul_flops['float32']:.0%}",
            *(f"{found.peak_bytes[way] / 1e6:.0f}" for way in WAYS[:2]),
        ]
