"""Options of the benchmarks' commands. This file imports no torch, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from benchmarks.markdown import DOCS
from kit.command_line import option
from kit.errors import KitError
from kit.typed_json import Limit, above, at_least

Count = Annotated[int, at_least(1)]


@dataclass(frozen=True)
class Part:
    """A table. Its module has `HEAD`, the names of the columns, and `rows(*, small, rounds)`.

    Attributes:
        module: file in this package.
        rounds: default number of rounds.
        peers: libraries that the table needs and only requirements-bench.txt lists.
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
"""Name on the command line and of the block in docs/benchmarks.md -> the table."""

TRAINING_PARTS = {
    "loop": Part("training_loop", 20),
    "augmentation": Part("augmentation", 5),
}
"""The same for `training`."""


@dataclass(frozen=True, kw_only=True)
class Documented:
    """Options that all benchmarks share."""

    write_docs: bool = field(default=False, metadata=option("keep the tables in docs/"))
    docs: Path | None = field(
        default=None, metadata=option("a copy of docs/, to keep them there instead", metavar="DIR")
    )

    def page(self, name: str) -> Path:
        """Return a page that the tables are kept in.

        Args:
            name: of its file.

        Raises:
            KitError: figures of a tiny form would be kept in docs/.
        """
        if self.write_docs and self.docs is None and getattr(self, "tiny", False):
            raise KitError(
                "figures of the tiny form mean nothing, so docs/ does not get them",
                where="--write-docs",
                fix="name a copy of docs/ with --docs DIR, or leave out --tiny",
            )
        return (self.docs or DOCS) / name


@dataclass(frozen=True, kw_only=True)
class EverythingOptions(Documented):
    """Make every figure that the documents show again, one command after another; it takes a day."""

    native_mmcv: Path | None = field(
        default=None,
        metadata=option(
            "unpacked wheel of `python -m bundle wheel mmcv --native`; without it one table stays as it is",
            metavar="DIR",
        ),
    )
    only: tuple[str, ...] = field(
        default=(), metadata=option("the commands that write these tables", metavar="NAME")
    )
    dry_run: bool = field(default=False, metadata=option("name the commands and run none"))
    tiny: bool = field(
        default=False,
        metadata=option("every command in its smallest form, into a new copy of the pages: --docs DIR"),
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Documented):
    """Measure time and memory of the networks, and compare them with other libraries."""

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


# The network sees the slide at a third of its size. The peers shrink the slide first: a side of 1000 becomes
# 333 pixels of 3.003 each, a side of 999 becomes 333 pixels of exactly 3, like the windows of ours. With a
# side of 1000 the peers' masks would shift against ours, by one pixel at the far end of the slide. 288 is
# three times 96, the core of the smallest windows: masks are compared without the outermost windows, and one
# has to remain.
_THIRDS = Limit(lambda side: side % 3 == 0, "a multiple of 3")


@dataclass(frozen=True, kw_only=True)
class InferenceOptions(Documented):
    """Measure slides, masks and scores, and compare them with other libraries."""

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
class TrainingOptions(Documented):
    """Measure training, and compare it with other libraries."""

    part: str | None = field(
        default=None,
        metadata=option("one of the tables (default: all)", choices=lambda: list(TRAINING_PARTS)),
    )
    rounds: Count | None = field(
        default=None, metadata=option("runs of everything; each part has its own number", metavar="N")
    )
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


@dataclass(frozen=True, kw_only=True)
class BundleOptions(Documented):
    """Measure the dataset of wheels for each known Kaggle image: number, size, time to make it."""

    cache: Path = field(default=Path("build/wheels"), metadata=option("downloads", metavar="DIR"))
    lock: Path = field(default=Path("requirements.lock"), metadata=option("pinned versions", metavar="FILE"))


@dataclass(frozen=True, kw_only=True)
class SetUpOptions(BundleOptions):
    """Measure the set-up inside predict.py beside uv and pip, and on a mount with slow streams."""

    megabytes: Annotated[float, above(0)] = field(
        default=300, metadata=option("size of the wheels, at least", metavar="MB")
    )
    rounds: Count = field(default=3, metadata=option("alternating runs", metavar="N"))
    stream: Annotated[float, above(0)] = field(
        default=200, metadata=option("what one stream of the slow mount gives", metavar="MB/S")
    )
    slower: Annotated[float, above(0)] = field(
        default=25,
        metadata=option(
            "the same for a second mount, where the streams and not the cores are the limit", metavar="MB/S"
        ),
    )
    streams: Count = field(default=16, metadata=option("that read side by side", metavar="N"))
    scratch: Path | None = field(
        default=None,
        metadata=option(
            "where files are written (default: in memory, /dev/shm, if it has the room)", metavar="DIR"
        ),
    )
    tiny: bool = field(
        default=False, metadata=option("the smallest ten wheels: does the benchmark itself work?")
    )


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(Documented):
    """Measure the ensemble step on synthetic predictions of full size: time and peak memory."""

    part: Literal["maps", "detections"] = field(
        default="maps",
        metadata=option("maps of the kidney's slides, or detections in tiles"),
    )
    tiles: Count = field(default=1600, metadata=option("number of tiles", metavar="N"))
    slides: Count = field(default=15, metadata=option("number of slides", metavar="N"))
    side: Annotated[int, at_least(256)] = field(
        default=10_000, metadata=option("of a slide at training scale", metavar="PIXELS")
    )
    distinct: Count = field(
        default=3,
        metadata=option("slides with maps of their own (3.2 GB each); others are links to them", metavar="N"),
    )
    processes: Count = field(default=2, metadata=option("that read maps", metavar="N"))
    folder: Path | None = field(
        default=None, metadata=option("for the maps (default: the system's temporary folder)", metavar="DIR")
    )
    tiny: bool = field(default=False, metadata=option("in seconds: does the benchmark itself work?"))


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingOptions(Documented):
    """Show what early stopping costs and saves, on drawn predictions and on those of finished runs."""

    prepared: tuple[Path, ...] = field(
        default=(), metadata=option("what the finished runs were trained on", metavar="DIR")
    )
    runs: tuple[Path, ...] = field(
        default=(), metadata=option("of finished runs, one for each --prepared", metavar="DIR")
    )
    tiles: Count = field(default=120, metadata=option("number of drawn tiles", metavar="N"))
    slides: Count = field(default=60, metadata=option("number of drawn slides", metavar="N"))
    large: Count = field(default=2, metadata=option("drawn slides of 6144 pixels (1.2 GB each)", metavar="N"))
    uneven: Annotated[float, at_least(0)] = field(
        default=0.6,
        metadata=option("how much images differ in difficulty, as a logarithm", metavar="DEVIATION"),
    )
    processes: Count = field(default=2, metadata=option("that read predictions", metavar="N"))
    folder: Path | None = field(
        default=None, metadata=option("for what is drawn (default: the temporary folder)", metavar="DIR")
    )
    tiny: bool = field(default=False, metadata=option("eight images: does the benchmark itself work?"))


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Documented):
    """Run predict.py with one worker, with two and without its supervisor; read slides on a slow mount."""

    part: Literal["speed", "mount", "budgets", "memory", "decisions"] = field(
        default="speed",
        metadata=option(
            "workers and supervisor, slides on a slow mount, the score at several budgets, memory, or the "
            "supervisor's decisions over many images"
        ),
    )
    rounds: Count = field(default=3, metadata=option("alternating runs", metavar="N"))
    stream: Annotated[float, above(0)] = field(
        default=30, metadata=option("what one stream of the slow mount gives", metavar="MB/S")
    )
    predict: tuple[Path, ...] = field(
        default=(), metadata=option("rendered predict.py, for the part budgets", metavar="FILE")
    )
    bundle: tuple[Path, ...] = field(default=(), metadata=option("the bundle of each", metavar="DIR"))
    data: tuple[Path, ...] = field(
        default=(), metadata=option("a competition with its truth for each", metavar="DIR")
    )
    tiny: bool = field(default=False, metadata=option("in seconds: does the benchmark itself work?"))


@dataclass(frozen=True, kw_only=True)
class BudgetOptions(Documented):
    """Simulate whole runs on Kaggle: the policy in use beside simple rules and the best choice."""

    worlds: Count = field(default=2000, metadata=option("simulated runs of each way", metavar="N"))
    seed: Annotated[int, at_least(0)] = field(
        default=1, metadata=option("of the machines, test sets and faults", metavar="N")
    )
    nested: bool = field(
        default=False, metadata=option("ensembles with the rungs of a greedy ladder only, no other paths")
    )
    jobs: Count | None = field(
        default=None, metadata=option("processes (default: one for each CPU)", metavar="N")
    )
    world: Annotated[int, at_least(0)] | None = field(
        default=None, metadata=option("show this world alone, with the facts that decide it", metavar="N")
    )
    trace: bool = field(default=False, metadata=option("with --world: every decision and task of ours"))


@dataclass(frozen=True, kw_only=True)
class DryRunOptions(Documented):
    """Compare the forecast of a commit run with the hidden run that it stands for, at several sizes."""

    sizes: Annotated[int, at_least(1)] = field(
        default=10, metadata=option("hidden test sets of different sizes", metavar="N")
    )
    seconds: Annotated[float, above(0)] = field(
        default=120, metadata=option("of each dry run, at most", metavar="SECONDS")
    )
    budget: Annotated[float, above(0)] = field(
        default=1800, metadata=option("of each run", metavar="SECONDS")
    )
    workers: Count = field(default=2, metadata=option("processes of predict.py", metavar="N"))


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Documented):
    """Show the scores that `nox -s demo` left, beside those of the baselines."""

    demo: Path = field(default=Path("dist/demo"), metadata=option("what the demo left", metavar="DIR"))


@dataclass(frozen=True, kw_only=True)
class ExampleOptions(Documented):
    """Walk through the two examples of docs/own-model.md, from the training to a scored rehearsal."""

    only: tuple[str, ...] = field(
        default=("segmenter", "classifier"), metadata=option("these examples", metavar="NAME")
    )
    found: Path | None = field(
        default=None,
        metadata=option("what `nox -s example` left (work/examples), instead of running them", metavar="DIR"),
    )
    tiny: bool = field(default=False, metadata=option("a few training steps: does the walk itself work?"))
