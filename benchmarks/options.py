"""What the benchmarks may be told. It imports no torch, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from kit.command_line import option
from kit.typed_json import Limit, above, at_least

Count = Annotated[int, at_least(1)]


@dataclass(frozen=True)
class Part:
    """One table; the module has its `HEAD` and `rows(*, small, rounds)`.

    Attributes:
        module: in this package.
        rounds: by default.
        peers: libraries that are only in requirements-bench.txt.
        sized: `rows` also takes `size` and `threads`.
    """

    module: str
    rounds: int
    peers: tuple[str, ...] = ()
    sized: bool = False


PARTS = {
    "slide": Part("slide", 1, ("monai",), sized=True),
    "published": Part("published", 1, ("rasterio",), sized=True),
    "reading": Part("reading", 5, ("rasterio", "zarr")),
    "tissue": Part("tissue", 1),
    "rle": Part("run_lengths", 5),
    "fusion": Part("fusion", 11),
    "ap": Part("ap", 5),
}
"""Name on the command line and of the block in docs/benchmarks.md -> what makes it."""


@dataclass(frozen=True, kw_only=True)
class Documented:
    """What all benchmarks share."""

    write_docs: bool = field(default=False, metadata=option("keep the tables in docs/"))


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Documented):
    """Measure time and memory of the networks, and of peers."""

    only: tuple[str, ...] = field(
        default=(), metadata=option("these networks; without the peers", metavar="NAME")
    )
    part: Literal["networks", "swin", "detectors", "recipes"] | None = field(
        default=None, metadata=option("one of the tables")
    )
    size: Count = field(default=512, metadata=option("side of the image", metavar="PIXELS"))
    seconds: Annotated[float, above(0)] = field(
        default=5.0, metadata=option("how long each measurement is repeated", metavar="SECONDS")
    )
    rounds: Count = field(default=5, metadata=option("alternating runs of peers", metavar="N"))
    threads: Count | None = field(
        default=None, metadata=option("of the CPU (default: as many as torch takes)", metavar="N")
    )
    device: Literal["cpu", "cuda"] = field(
        default="cpu", metadata=option("cuda measures the recipes' steps alone")
    )
    tiny: bool = field(default=False, metadata=option("the tiny forms: does the benchmark itself work?"))
    native_mmcv: Path | None = field(
        default=None,
        metadata=option(
            "unpacked wheel of `python -m bundle wheel mmcv --native`, the peer of the portable operators",
            metavar="DIR",
        ),
    )


_THIRDS = Limit(lambda side: side % 3 == 0, "a multiple of 3")


@dataclass(frozen=True, kw_only=True)
class InferenceOptions(Documented):
    """Measure slides, masks and scores, and peers."""

    part: str | None = field(
        default=None, metadata=option("one of the tables (default: all)", choices=lambda: list(PARTS))
    )
    size: Annotated[int, at_least(288), _THIRDS] | None = field(
        default=None,
        metadata=option(
            "side of the large slide (default: 30000) and of the published way's (default: 12288)",
            metavar="PIXELS",
        ),
    )
    rounds: Count | None = field(
        default=None, metadata=option("runs of everything; each part has its own number", metavar="N")
    )
    threads: Count = field(default=1, metadata=option("of the network on the CPU", metavar="N"))
    tiny: bool = field(default=False, metadata=option("in seconds: does the benchmark itself work?"))


@dataclass(frozen=True, kw_only=True)
class MatrixOptions(Documented):
    """Run the conformance suite and show networks x checks."""

    arguments: tuple[str, ...] = field(
        default=(), metadata=option("more arguments for pytest", metavar="-- ARGUMENT", positional=True)
    )


@dataclass(frozen=True, kw_only=True)
class ParameterOptions(Documented):
    """Count the parameters of the networks, beside the published numbers."""


@dataclass(frozen=True, kw_only=True)
class SizeOptions(Documented):
    """Show what predict.py is made of, for ensembles of the published sizes."""
